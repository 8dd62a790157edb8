// The run page: nodes, output, cancel, kept up to date by one live stream.
import { LineReader } from "./lines.js";
import { Scroller } from "./scroller.js";
import { badge, ending, isActive, label, mark, standing } from "./states.js";
import { RunStream } from "./stream.js";
import { shown } from "./text.js";
import { localTimes } from "./times.js";

const MAX_LINES = 300_000; // of all nodes together; older ones make room and stay in the log
const byId = (id) => document.getElementById(id);
const page = byId("run");

const jobs = new Map(); // index → job
const readers = new Map(); // "index stream" → LineReader
const everything = [];
const ofNode = new Map(); // index → lines
const links = new Map([...document.querySelectorAll("#nodes a")].map((link) => [Number(link.dataset.index), link]));
let alone = page.dataset.alone === undefined ? null : Number(page.dataset.alone);
let runState = page.dataset.state;
let scroller = null;
let changed = false; // whether a job has changed since the page last said how the run stands

function linesOf(index) {
  if (!ofNode.has(index)) ofNode.set(index, []);
  return ofNode.get(index);
}

function addLine(line) {
  everything.push(line);
  linesOf(line.node).push(line);
}

function makeRoom() {
  if (everything.length <= MAX_LINES) return;
  for (const line of everything.splice(0, everything.length - MAX_LINES * 0.9)) line.gone = true;
  for (const lines of ofNode.values()) {
    let gone = 0;
    while (gone < lines.length && lines[gone].gone) gone++;
    lines.splice(0, gone);
  }
  byId("earlier").hidden = false;
}

// The server's first sight of the output stays until there is a line to put in its place.
function draw() {
  makeRoom();
  if (scroller === null && everything.length > 0) {
    scroller = new Scroller(byId("output"), (index) => jobs.get(index)?.node ?? "", (following, unseen) => {
      byId("follow").hidden = following;
      byId("follow").textContent = unseen > 0 ? `${unseen} new ${unseen === 1 ? "line" : "lines"} ↓` : "Follow ↓";
    });
    choose(alone);
  }
  scroller?.plan();
}

function showJob(job) {
  const link = links.get(job.index);
  if (!link) return;
  link.className = `node s-${job.state}`;
  link.children[0].textContent = mark(job.state);
  const facts = [label(job.state), ending(job), job.link === "unknown" ? "not reachable" : ""];
  link.children[2].textContent = facts.filter(Boolean).join(", ");
  if (job.message) link.title = shown(job.message);
  if (job.index === alone) showMessage(job);
}

function showMessage(job) {
  const lost = job?.dropped_bytes ? `${job.dropped_bytes} bytes beyond the output limit were not recorded.` : "";
  byId("job").textContent = shown([job?.message, lost].filter(Boolean).join(" "));
  byId("job").hidden = byId("job").textContent === "";
}

function showStanding() {
  const counts = {};
  for (const { state } of jobs.values()) counts[state] = (counts[state] ?? 0) + 1;
  byId("standing").replaceChildren(standing(counts));
  const active = [...jobs.values()].filter((job) => isActive(job.state)).length;
  if (byId("unfinished")) byId("unfinished").textContent = active;
  if (byId("cancel")) byId("cancel").hidden = active === 0;
  return Object.entries(counts).map(([state, number]) => `${number} ${label(state)}`).join(", ");
}

// Once for many changes: a run may have thousands of nodes.
function settle() {
  draw();
  if (!changed) return;
  changed = false;
  showTroubles();
  byId("announce").textContent = `${label(runState)}: ${showStanding()}`;
}

function showRun(run) {
  runState = run.state;
  byId("state").replaceChildren(badge(run.state));
  for (const job of run.jobs) {
    jobs.set(job.index, job);
    showJob(job);
  }
  changed = true;
}

function onEvent(fields) {
  const job = jobs.get(fields.index);
  if (fields.event === "link") job.link = fields.link;
  else if (!isActive(job.state) && isActive(fields.state)) return; // older than the state that came first
  else for (const name of ["state", "reason", "message", "exit_code", "signal"]) job[name] = fields[name] ?? null;
  showJob(job);
  changed = true;
}

function onOutput(index, stream, offset, bytes) {
  const key = `${index} ${stream}`;
  if (!readers.has(key)) {
    if (offset > 0) byId("earlier").hidden = false;
    readers.set(key, new LineReader(index, stream === "stderr", addLine));
  }
  readers.get(key).push(offset, bytes);
}

// The same sentences as the server's: one per reason.
function showTroubles() {
  const found = new Map();
  for (const job of jobs.values()) {
    if (isActive(job.state) || job.state === "succeeded" || job.state === "cancelled") continue;
    const reason = job.reason ?? ending(job);
    const key = `${job.state} ${reason}`;
    if (!found.has(key)) found.set(key, { state: job.state, reason, message: job.message, nodes: [] });
    found.get(key).nodes.push(job.node);
  }
  byId("troubles").replaceChildren(...[...found.values()].map(({ state, reason, message, nodes }) => {
    const rest = nodes.length > 12 ? ` and ${nodes.length - 12} more` : "";
    const item = document.createElement("li");
    const why = reason ? `: ${reason}` : "";
    item.textContent = shown(`${nodes.length} ${label(state)}${why} on ${nodes.slice(0, 12).join(", ")}${rest}`);
    if (message) item.append(document.createElement("br"), shown(message));
    return item;
  }));
}

function setCurrent(link, current) {
  if (current) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
}

function choose(index) {
  alone = index;
  for (const [known, link] of links) setCurrent(link, known === index);
  setCurrent(byId("everyone"), index === null);
  byId("alone").textContent = index === null ? "" : shown(jobs.get(index)?.node ?? "");
  byId("files").hidden = index === null;
  if (index !== null) {
    for (const stream of ["stdout", "stderr"]) byId(`${stream}-file`).href = `/runs/${page.dataset.run}/jobs/${index}/${stream}`;
  }
  showMessage(jobs.get(index));
  scroller?.show(index === null ? everything : linesOf(index), index === null);
}

function chosenByClick(event, index) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  history.replaceState(null, "", event.currentTarget.href);
  draw();
  choose(index);
}

for (const [index, link] of links) link.addEventListener("click", (event) => chosenByClick(event, index));
byId("everyone").addEventListener("click", (event) => chosenByClick(event, null));
byId("follow").addEventListener("click", () => scroller?.follow());
localTimes(document);

new RunStream(page.dataset.stream, {
  state: showRun,
  output: onOutput,
  event: onEvent,
  settled: settle,
  end(run) {
    showRun(run);
    settle();
    document.title = `${mark(run.state)} ${document.title}`;
  },
  live(word, text) {
    byId("live").dataset.live = word;
    byId("live").textContent = text;
  },
});
