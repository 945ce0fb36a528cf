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

// A colour by its six digits or by the system's own chooser: each shows what the other says.
on(document, "input", "[data-colour-of]", (_, chooser) => { document.getElementById(chooser.dataset.colourOf).value = chooser.value; });
on(document, "input", "input", (_, typed) => {
  const digits = /^\s*#?([0-9a-f]{6})\s*$/i.exec(typed.value);
  const chooser = digits && typed.id && document.querySelector(`[data-colour-of="${CSS.escape(typed.id)}"]`);
  if (chooser) chooser.value = `#${digits[1].toLowerCase()}`;
});

// A picture that is chosen for behind people is seen behind them before it is handed in.
let ownPicture = "";
const show_own = () => { for (const image of document.querySelectorAll("[data-own-picture]")) if (ownPicture) image.setAttribute("href", ownPicture); };
on(document, "change", "input[data-behind]", (_, input) => {
  URL.revokeObjectURL(ownPicture);
  ownPicture = input.files.length ? URL.createObjectURL(input.files[0]) : "";
  show_own();
});
document.addEventListener("htmx:afterSettle", show_own);

// Countdowns: <time data-countdown datetime="…"> counts minutes and seconds and hides what is over.
const count = () => {
  for (const clock of document.querySelectorAll("[data-countdown]")) {
    const left = Math.max(0, Math.round((Date.parse(clock.dateTime) - Date.now()) / 1000));
    clock.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    if (left === 0) clock.closest("[data-until]")?.setAttribute("hidden", "");
  }
};
setInterval(count, 1000);
count();
document.addEventListener("htmx:afterSettle", count);

// Whoever is asked twice before something that cannot be undone.
on(document, "submit", "form[data-sure]", (event, form) => {
  if (!confirm(form.dataset.sure)) event.preventDefault();
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
// Choosing a file sends nothing: its name is shown, and the button beside it goes on.
on(document, "change", ".drop input[type=file]", (_, input) => {
  const shown = input.closest(".drop").querySelector("[data-chosen]");
  if (shown) shown.textContent = [...input.files].map((file) => file.name).join(", ");
});

// A description that lies in a file is read into the field that takes it, where it can be looked at before it is sent.
on(document, "change", "input[data-into]", async (_, input) => {
  if (input.files.length) document.getElementById(input.dataset.into).value = await input.files[0].text();
});

// On a slow line a file is chosen before the scripts are there that take it; all of them have run by now.
addEventListener("DOMContentLoaded", () => {
  for (const input of document.querySelectorAll("input[type=file]")) {
    if (input.files.length) input.dispatchEvent(new Event("change", { bubbles: true }));
  }
});

// Live parts are fetched again while somebody works in them: what they had ticked, where they stood and how far a part was
// scrolled stays as it was. Several parts may be on their way at once, and each has what was held of it.
const held = new Map();
const sideways = (part) => [part, ...part.querySelectorAll(".scroll")];
// What leads to an element again after its part was fetched: its id, or where it leads and which of those it is.
const spelled = (part, one) => {
  const to = (name, element) => `[${name}="${CSS.escape(element.getAttribute(name))}"]`;
  const form = one.closest("form[action]");
  const way = one.id ? `#${CSS.escape(one.id)}`
    : one.matches("a[href]") ? `a${to("href", one)}`
    : form ? `form${to("action", form)} ${one.localName}` : one.localName;
  return { way, place: [...part.querySelectorAll(way)].indexOf(one) };
};
document.addEventListener("htmx:beforeSwap", ({ detail: { target } }) => {
  if (!(target instanceof Element) || !target.id) return;
  const inside = document.activeElement && target !== document.activeElement && target.contains(document.activeElement);
  held.set(target.id, {
    focus: inside ? spelled(target, document.activeElement) : null,
    ticked: [...target.querySelectorAll("input[type=checkbox]:checked")].map((box) => box.id),
    open: [...target.querySelectorAll("details[open]")].map((one) => one.id),
    scrolled: sideways(target).map((one) => one.scrollLeft),
    at: scrollY,
  });
});
document.addEventListener("htmx:afterSettle", ({ target }) => {
  let part = target instanceof Element ? target : null;
  while (part && !held.has(part.id)) part = part.parentElement;
  const was = part && held.get(part.id);
  if (was) {
    held.delete(part.id);
    for (const id of was.ticked) if (id && part.querySelector(`#${CSS.escape(id)}`)) document.getElementById(id).checked = true;
    for (const id of was.open) if (id) document.getElementById(id)?.setAttribute("open", "");
    sideways(part).forEach((one, place) => { one.scrollLeft = was.scrolled[place] ?? 0; });
    const again = was.focus && part.querySelectorAll(was.focus.way)[was.focus.place];
    // Whoever has moved on meanwhile stays where they are.
    if (again && [null, document.body].includes(document.activeElement)) again.focus({ preventScroll: true });
    if (was.focus) scrollTo({ top: was.at, behavior: "instant" });
  }
  say_ticked();
});
// A press takes a tenth of a second, and what it began on has to be there at its end, or it is lost: until then a part that comes
// by itself is left out, and its next one is taken. A press whose end was never seen holds up nothing for long.
const LONGEST_PRESS = 2000;
let pressed = null;
addEventListener("pointerdown", ({ target }) => { pressed = { target, since: Date.now() }; }, true);
for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, () => setTimeout(() => { pressed = null; }), true);
document.addEventListener("htmx:beforeSwap", (event) => {
  const { target, requestConfig } = event.detail;
  if (!pressed || requestConfig.triggeringEvent || Date.now() - pressed.since > LONGEST_PRESS) return;
  if (target.contains(pressed.target)) event.preventDefault();
});
const TICKS = "input[name=person], input[data-tick]";
const say_ticked = () => {
  const said = document.querySelector("[data-ticked]");
  const count = [...document.querySelectorAll(TICKS)].filter((box) => box.checked).length;
  const everybody = document.querySelector("input[data-everybody]:checked")?.closest("label").textContent.trim();
  const words = everybody ?? (count ? said?.dataset.ticked.replace("{n}", count) : said?.dataset.none);
  if (said && said.textContent !== words) said.textContent = words;
};
on(document, "change", `${TICKS}, input[data-everybody]`, say_ticked);
on(document, "change", "input[data-tick-all]", (_, all) => {
  for (const box of all.form.elements) if (box.matches(TICKS)) box.checked = all.checked;
  say_ticked();
});

// Ctrl-K, or / outside of a field, finds somebody from every page of the desk.
document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof Element && event.target.closest("input, select, textarea");
  const asked = (event.key === "k" && (event.ctrlKey || event.metaKey)) || (event.key === "/" && !typing);
  const people = document.querySelector("a[data-people]");
  if (!asked || !people || event.altKey || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  const field = document.querySelector("[data-find]");
  if (field) field.select();
  else location.href = `${people.href}#find`;
});
if (location.hash === "#find") document.querySelector("[data-find]")?.focus();

// The menu under one's name closes by itself when somebody goes on elsewhere.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details[data-menu][open]")) if (!menu.contains(event.target)) menu.open = false;
});
on(document, "keydown", "details[data-menu]", (event, menu) => {
  if (event.key !== "Escape" || !menu.open) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// One person beside the list they were opened from. Whoever closes it is back where they were, also when the row was
// fetched again meanwhile; without a script each name leads to a page of its own.
const drawer = document.getElementById("drawer");
if (drawer) {
  let opener = "";
  document.addEventListener("htmx:beforeRequest", ({ detail }) => {
    if (detail.target?.id === "person" && !drawer.open) opener = detail.elt.id;
  });
  // What went wrong is said in the drawer, because the page behind it is out of reach.
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (drawer.open && detail.target?.id === "messages") detail.target = drawer.querySelector("[data-messages]");
    else if (detail.target?.id === "person") drawer.querySelector("[data-messages]").replaceChildren();
  });
  document.addEventListener("htmx:afterSettle", () => {
    const name = drawer.querySelector("#person-name");
    if (!name) return;
    const opens = !drawer.open;
    if (opens) drawer.showModal();
    if (opens || document.activeElement === document.body) name.focus();
  });
  drawer.addEventListener("click", (event) => { if (event.target === drawer) drawer.close(); });
  drawer.addEventListener("close", () => {
    drawer.querySelector("#person").replaceChildren();
    document.getElementById(opener)?.focus();
  });
}

const dress = () => {
  nameTheme();
  count();
  for (const input of document.querySelectorAll("input[data-many]")) input.multiple = true;
};
dress();
document.addEventListener("htmx:afterSettle", dress);
// On a phone chips and the names of pages stand in one line that scrolls: it begins where the chosen one is.
for (const chosen of document.querySelectorAll(":is(.chips-line, .bar nav) [aria-current]")) {
  const line = chosen.parentElement;
  line.scrollLeft = chosen.offsetLeft - line.offsetLeft - (line.clientWidth - chosen.offsetWidth) / 2;
}
// HTMX shows nothing for an error by itself; the server names the message area for it. What a part meets that fetches itself
// passes with its next try, but for the end of a session, which is said once.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.xhr.status < 400 || !detail.xhr.getResponseHeader("hx-retarget")) return;
  detail.shouldSwap = Boolean(detail.requestConfig.triggeringEvent) || (detail.xhr.status === 401 && !messages.firstElementChild);
});
// It stands at the top, and is shown to whoever pressed something further down.
document.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.target === messages && detail.requestConfig.triggeringEvent) messages.scrollIntoView({ block: "center" });
});

// What a lost connection interrupted is said once, and taken back with the next answer. What somebody pressed is not done
// again by itself: that is said until something that they press is answered.
const messages = document.getElementById("messages");
const presses = ({ detail }) => detail.requestConfig?.verb !== "get";
const said_undone = () => messages.textContent === messages.dataset.undone;
for (const kind of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(kind, (event) => {
    if (!presses(event)) messages.textContent = said_undone() ? messages.dataset.undone : messages.dataset.offline;
    else {
      messages.textContent = messages.dataset.undone;
      messages.scrollIntoView({ block: "center" });
    }
  });
}
document.addEventListener("htmx:afterRequest", (event) => {
  const over = messages.textContent === messages.dataset.offline || (presses(event) && said_undone());
  if (event.detail.successful && over) messages.textContent = "";
});
