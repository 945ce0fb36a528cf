// What pages can do beyond plain forms. Everything here has a way that works without it.

const on = (root, event, selector, act) =>
  root.addEventListener(event, (e) => {
    const found = e.target instanceof Element ? e.target.closest(selector) : null;
    if (found) act(e, found);
  });

// Theme: the system decides until somebody chooses; the choice is remembered on this device.
const dark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};
const nameTheme = () => {
  for (const button of document.querySelectorAll("[data-theme-toggle]")) {
    button.hidden = false;
    button.setAttribute("aria-pressed", String(dark()));
  }
};
on(document, "click", "[data-theme-toggle]", () => {
  const next = dark() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try { localStorage.setItem("theme", next); } catch { /* then it holds for this page */ }
  nameTheme();
});

// Countdowns: <time data-countdown datetime="…"> counts minutes and seconds and hides what is over.
const count = () => {
  for (const clock of document.querySelectorAll("[data-countdown]")) {
    const left = Math.max(0, Math.round((Date.parse(clock.dateTime) - Date.now()) / 1000));
    clock.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    if (left === 0) clock.closest("[data-until]")?.setAttribute("hidden", "");
  }
};
setInterval(count, 1000);

// Whoever is asked twice before something that cannot be undone.
on(document, "submit", "form[data-sure]", (event, form) => {
  if (!confirm(form.dataset.sure)) event.preventDefault();
});

on(document, "click", "[data-copy]", async (_, button) => {
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = button.dataset.done ?? "Copied";
});

// Files may be dropped wherever a drop area holds a file input.
for (const kind of ["dragenter", "dragover"]) {
  on(document, kind, ".drop", (event, area) => { event.preventDefault(); area.classList.add("over"); });
}
on(document, "dragleave", ".drop", (event, area) => {
  if (!area.contains(event.relatedTarget)) area.classList.remove("over");
});
on(document, "drop", ".drop", (event, area) => {
  event.preventDefault();
  area.classList.remove("over");
  const input = area.querySelector("input[type=file]");
  if (!input || !event.dataTransfer?.files.length) return;
  input.files = event.dataTransfer.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
});
on(document, "change", "form[data-send-on-choice] input[type=file]", (_, input) => {
  if (input.files.length) input.form.requestSubmit();
});

const dress = () => {
  nameTheme();
  count();
  for (const input of document.querySelectorAll("input[data-many]")) input.multiple = true;
};
dress();
document.addEventListener("htmx:afterSettle", dress);
// HTMX shows nothing for an error by itself; the server names the message area for it.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.status >= 400 && event.detail.xhr.getResponseHeader("hx-retarget")) event.detail.shouldSwap = true;
});

// What a lost connection interrupted is said once, and taken back with the next answer.
const messages = document.getElementById("messages");
for (const kind of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(kind, () => { messages.textContent = messages.dataset.offline; });
}
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful && messages.textContent === messages.dataset.offline) messages.textContent = "";
});
