/* What the console does in the browser beyond HTML. Everything works without it. */

/* Ctrl-K opens the search over everything; arrows choose, Enter opens. */
const finder = () => document.querySelector("#finder");

function openFinder(words) {
  const dialog = finder();
  if (!dialog || dialog.open) return;
  dialog.showModal();
  const field = dialog.querySelector("input[type=search]");
  field.value = words ?? "";
  field.focus();
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openFinder();
    return;
  }
  const dialog = finder();
  if (!dialog?.open || !["ArrowDown", "ArrowUp", "Enter"].includes(event.key)) return;
  const field = dialog.querySelector("input[type=search]");
  const links = [...dialog.querySelectorAll(".hits a")];
  if (event.key === "Enter") {
    if (document.activeElement === field && links.length) {
      event.preventDefault();
      links[0].click();
    }
    return;
  }
  event.preventDefault();
  const stops = [field, ...links];
  const at = stops.indexOf(document.activeElement);
  const step = event.key === "ArrowDown" ? 1 : -1;
  stops[(at + step + stops.length) % stops.length].focus();
});

document.addEventListener("click", (event) => {
  if (event.target === finder()) finder().close();
});

/* Lists to choose from: all at once, and how many. */
function tell(form) {
  const ticks = [...form.querySelectorAll("input.tick")];
  const chosen = ticks.filter((tick) => tick.checked).length;
  const said = form.querySelector("[data-chosen]");
  if (said) said.textContent = chosen ? `${chosen} / ${ticks.length}` : "";
  const all = form.querySelector("[data-all]");
  if (all) {
    all.checked = chosen > 0 && chosen === ticks.length;
    all.indeterminate = chosen > 0 && chosen < ticks.length;
  }
}

document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-chooses]");
  if (!form) return;
  if (event.target.matches("[data-all]")) {
    for (const tick of form.querySelectorAll("input.tick")) tick.checked = event.target.checked;
  }
  tell(form);
});

/* Long lists go on by themselves until somebody stops them. */
document.addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector("form[data-goes-on]");
  if (!form) return;
  const timer = setTimeout(() => form.requestSubmit(), 400);
  for (const stop of document.querySelectorAll("[data-stops]")) {
    stop.addEventListener("click", () => clearTimeout(timer));
  }
});

/* Files that are dropped go into the field of their form, and are named there. */
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    const zone = event.target.closest?.("[data-drop]");
    if (!zone) return;
    event.preventDefault();
    zone.classList.toggle("is-over", kind === "dragover");
    if (kind === "drop") {
      const field = zone.querySelector("input[type=file]");
      field.files = event.dataTransfer.files;
      field.dispatchEvent(new Event("change", { bubbles: true }));
    }
  });
}

document.addEventListener("change", (event) => {
  const zone = event.target.closest("[data-drop]");
  if (!zone || event.target.type !== "file") return;
  let names = zone.querySelector(".drop-names");
  if (!names) {
    names = document.createElement("small");
    names.className = "drop-names";
    zone.append(names);
  }
  names.textContent = [...event.target.files].map((file) => file.name).join(", ");
});
