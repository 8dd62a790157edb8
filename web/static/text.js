// Text of nodes and jobs, made safe to look at: hidden characters visible, colours as classes. Never as HTML.
// web/shown.py does the same on the server.
import { AnsiUp } from "./vendor/ansi_up/ansi_up.js";

const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const SGR = /\u001b\[([\d;]*)m/g;
const MAX_CARRIED = 256; // characters of colour sequences that a line may inherit

export function shown(text) {
  return text.replace(HIDDEN, (char) => {
    const code = char.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    if (code === 0x7f) return "\u2421";
    return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

// The colours that are on after `text`, as sequences to put before what follows.
export function carried(before, text) {
  if (!text.includes("\u001b")) return before;
  let state = before;
  for (const [sequence, codes] of text.matchAll(SGR)) {
    if (/^0*(;|$)/.test(codes)) state = "";
    if (/[1-9]/.test(codes)) state += sequence;
  }
  return state.length > MAX_CARRIED ? state.slice(state.indexOf("\u001b", state.length - MAX_CARRIED)) : state;
}

// ansi_up finds the colours; what it would turn into HTML becomes DOM nodes with text here.
class Painter extends AnsiUp {
  transform_to_html(fragment) {
    const { fg, bg } = fragment;
    const span = document.createElement("span");
    span.textContent = shown(fragment.text);
    for (const name of ["bold", "faint", "italic", "underline"]) if (fragment[name]) span.classList.add(`ansi-${name}`);
    if (fg) colour(span, "color", "fg", fg);
    if (bg) colour(span, "backgroundColor", "bg", bg);
    this.target.append(span);
    return "";
  }

  process_hyperlink(packet) {
    return this.transform_to_html(this.with_state(packet));
  }
}

function colour(span, property, suffix, { rgb, class_name: name }) {
  if (name === "truecolor") span.style[property] = `rgb(${rgb.join(",")})`;
  else span.classList.add(`${name}-${suffix}`);
}

const painter = new Painter();

export function paint(target, text) {
  if (!text.includes("\u001b")) {
    target.textContent = shown(text);
    return;
  }
  target.replaceChildren();
  painter.target = target;
  painter._buffer = ""; // an unfinished sequence of the line before ends with that line
  painter.ansi_to_html(`\u001b[0m${text}`);
}
