// A list of very many lines of which only the visible ones are in the page. Heights above what browsers can hold
// are scaled. It follows the end until somebody scrolls up.
import { paint, shown } from "./text.js";

const MAX_PIXELS = 10_000_000; // browsers give up somewhere above 16 million
const SPARE = 8; // rows above and below the visible ones

export class Scroller {
  // `nodeName(index)` names a line's node; `onFollow(following, unseen)` is told when that changes.
  constructor(pane, nodeName, onFollow) {
    this.pane = pane;
    this.nodeName = nodeName;
    this.onFollow = onFollow;
    this.lines = [];
    this.seen = 0;
    this.following = true;
    this.labelled = true;
    this.lastTop = 0;
    this.planned = false;
    this.sizer = document.createElement("div");
    this.sizer.className = "sizer";
    this.view = document.createElement("div");
    this.view.className = "lines view";
    pane.replaceChildren(this.sizer, this.view);
    pane.addEventListener("scroll", () => this.scrolled(), { passive: true });
    new ResizeObserver(() => this.plan()).observe(pane);
  }

  show(lines, labelled) {
    this.lines = lines;
    this.labelled = labelled;
    this.follow();
  }

  follow() {
    this.following = true;
    this.plan();
  }

  // The lines have changed; draw once, however often this is said before the next frame.
  plan() {
    if (this.planned) return;
    this.planned = true;
    requestAnimationFrame(() => {
      this.planned = false;
      this.draw();
    });
  }

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.pane;
    if (scrollTop < this.lastTop - 1) this.following = false;
    if (scrollTop + clientHeight >= scrollHeight - this.rowHeight()) this.following = true;
    this.lastTop = scrollTop;
    this.plan();
  }

  rowHeight() {
    this.row ??= parseFloat(getComputedStyle(this.pane).lineHeight);
    return this.row;
  }

  draw() {
    const row = this.rowHeight();
    const real = this.lines.length * row;
    const high = this.pane.clientHeight;
    const pixels = Math.min(real, MAX_PIXELS);
    this.sizer.style.height = `${pixels}px`;
    if (this.following) this.pane.scrollTop = pixels;
    const top = this.pane.scrollTop;
    this.lastTop = top;
    const scale = pixels < real ? (real - high) / (pixels - high) : 1;
    const first = Math.max(0, Math.floor((top * scale) / row) - SPARE);
    const last = Math.min(this.lines.length, Math.ceil((top * scale + high) / row) + SPARE);
    this.view.style.transform = `translateY(${top - (top * scale - first * row)}px)`;
    this.fill(first, last);
    if (this.following) this.seen = this.lines.length;
    this.onFollow(this.following, Math.max(0, this.lines.length - this.seen));
  }

  fill(first, last) {
    while (this.view.childElementCount < last - first) this.view.append(newRow());
    while (this.view.childElementCount > last - first) this.view.lastElementChild.remove();
    for (let i = first; i < last; i++) {
      const line = this.lines[i];
      const row = this.view.children[i - first];
      if (row.line === line && row.length === line.text.length && row.labelled === this.labelled) continue;
      Object.assign(row, { line, length: line.text.length, labelled: this.labelled });
      row.classList.toggle("err", line.err);
      row.firstElementChild.hidden = !this.labelled;
      row.firstElementChild.textContent = shown(this.nodeName(line.node));
      paint(row.lastElementChild, line.colours + line.text);
    }
  }
}

function newRow() {
  const row = document.createElement("div");
  row.className = "line";
  const who = document.createElement("span");
  who.className = "who";
  const text = document.createElement("span");
  text.className = "text";
  row.append(who, text);
  return row;
}
