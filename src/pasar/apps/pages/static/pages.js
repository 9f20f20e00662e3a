/* What pages do in the browser beyond HTML: small things only. Everything works without it. */

document.documentElement.classList.add("has-script");

document.addEventListener("alpine:init", () => {
  /* A number with buttons: <div x-data="stepper" data-least="1" data-most="20">. */
  window.Alpine.data("stepper", () => ({
    get input() {
      return this.$root.querySelector("input");
    },
    less() {
      this.set(Number(this.input.value) - 1);
    },
    more() {
      this.set(Number(this.input.value) + 1);
    },
    set(value) {
      const least = Number(this.$root.dataset.least ?? 1);
      const most = Number(this.$root.dataset.most ?? 999);
      this.input.value = Math.max(least, Math.min(most, Number.isFinite(value) ? value : least));
      this.input.dispatchEvent(new Event("change", { bubbles: true }));
    },
  }));
});

/* A form that was sent is not sent again by an impatient second click. The server would not mind. */
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (button && !event.defaultPrevented && event.target.dataset.once !== undefined) {
    setTimeout(() => button.setAttribute("disabled", ""), 0);
  }
});

/* Menus close when something else is touched, or with Escape. */
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.removeAttribute("open");
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.removeAttribute("open");
    menu.querySelector("summary")?.focus();
  }
});

/* Fields that send their form as soon as they change. */
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-sends-itself]");
  if (form) form.requestSubmit();
});

/* Pages restored by "back" must be usable again. */
window.addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("form[data-once] button[disabled]:not([data-off])")) {
    button.removeAttribute("disabled");
  }
});
