// The ad-hoc form tells, while it is filled in, which nodes it would reach.
const PAUSE_MS = 350;
const form = document.getElementById("launch");
const plan = document.getElementById("plan");
let timer = 0;
let asked = 0;

async function preview() {
  const turn = ++asked;
  if (!form.elements.target.value.trim()) {
    plan.textContent = "";
    return;
  }
  const answer = await fetch(form.dataset.plan, { method: "POST", body: new URLSearchParams(new FormData(form)) });
  if (turn !== asked || !answer.ok) return;
  const { errors, count, nodes } = await answer.json();
  for (const name of ["target", "run_as", "timeout"]) {
    document.getElementById(`${name}-error`).textContent = errors[name] ?? "";
    if (errors[name]) form.elements[name].setAttribute("aria-invalid", "true");
    else form.elements[name].removeAttribute("aria-invalid");
  }
  plan.textContent = count === undefined ? "" : `${count} ${count === 1 ? "node" : "nodes"}: ${nodes}`;
}

form.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(() => preview().catch(() => {}), PAUSE_MS);
});
form.addEventListener("submit", () => clearTimeout(timer));
preview().catch(() => {});
