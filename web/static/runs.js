// The list of runs keeps itself up to date: often while something runs, seldom otherwise, never in a hidden tab.
import { localTimes } from "./times.js";

const BUSY_MS = 2000;
const IDLE_MS = 10_000;
const FOCUSABLE = "#runs a";

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (answer.status === 401) location.reload();
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("runs");
  localTimes(fresh);
  const focused = document.activeElement?.closest(FOCUSABLE)?.getAttribute("href");
  document.getElementById("runs").replaceWith(fresh);
  if (focused) [...document.querySelectorAll(FOCUSABLE)].find((link) => link.getAttribute("href") === focused)?.focus();
}

function again() {
  const busy = document.querySelector('#runs [data-state="running"], #runs [data-state="queued"]');
  setTimeout(() => refresh().catch(() => {}).finally(again), busy ? BUSY_MS : IDLE_MS);
}

localTimes(document);
document.addEventListener("visibilitychange", () => refresh().catch(() => {}));
again();
