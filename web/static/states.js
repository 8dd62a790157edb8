// How states look. web/views.py has the same for the pages that the server makes.
const SVG = "http://www.w3.org/2000/svg";

// [state, shape], bad news first
const STATES = [
  ["lost", "?"], ["start_failed", "!"], ["failed", "✗"], ["timed_out", "◷"], ["expired", "⌛"], ["cancelled", "⊘"],
  ["running", "▶"], ["claimed", "◑"], ["dispatching", "◔"], ["queued", "○"], ["succeeded", "✓"],
];
const MARKS = new Map(STATES);
const ACTIVE = new Set(["queued", "dispatching", "claimed", "running"]);

export const label = (state) => state.replaceAll("_", " ");
export const mark = (state) => MARKS.get(state) ?? "·";
export const isActive = (state) => ACTIVE.has(state);

export function ending(job) {
  if (job.signal !== null && job.signal !== undefined) return `signal ${job.signal}`;
  return job.exit_code === null || job.exit_code === undefined ? "" : `exit ${job.exit_code}`;
}

export function span(className, text) {
  const element = document.createElement("span");
  element.className = className;
  element.textContent = text;
  return element;
}

function marked(className, state, text) {
  const shape = span("mark", mark(state));
  shape.setAttribute("aria-hidden", "true");
  const element = span(`${className} s-${state}`, "");
  element.append(shape, ` ${text}`);
  return element;
}

export const badge = (state) => marked("badge", state, label(state));

export function standing(counts) {
  const present = STATES.map(([state]) => [state, counts[state] ?? 0]).filter(([, number]) => number > 0);
  const total = present.reduce((sum, [, number]) => sum + number, 0);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "bar");
  svg.setAttribute("viewBox", "0 0 100 4");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const texts = span("counts", "");
  let x = 0;
  for (const [state, number] of present) {
    const part = document.createElementNS(SVG, "rect");
    const width = (100 * number) / total;
    for (const [name, value] of Object.entries({ class: `s-${state}`, x, y: 0, width, height: 4 })) {
      part.setAttribute(name, value);
    }
    svg.append(part);
    texts.append(marked("count", state, `${number} ${label(state)}`), " ");
    x += width;
  }
  const element = document.createElement("div");
  element.className = "standing";
  element.append(svg, texts);
  return element;
}
