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
  const photos = area.closest("form[data-photos]");
  if (photos) return uploads(photos).add(event.dataTransfer.files);
  input.files = event.dataTransfer.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
});
on(document, "change", "form[data-send-on-choice] input[type=file]", (_, input) => {
  if (input.files.length) input.form.requestSubmit();
});

// Photos go one per request. What failed on the way is tried again, and after a lost connection the list goes on; the
// server knows photos that it has already, so sending one twice does no harm.
const queues = new WeakMap();
const uploads = (form) => {
  if (!queues.has(form)) queues.set(form, new Queue(form));
  return queues.get(form);
};

class Queue {
  constructor(form) {
    this.form = form;
    this.waiting = [];
    this.busy = false;
    this.list = document.getElementById("queue");
    addEventListener("online", () => this.next());
  }

  add(files) {
    for (const file of files) {
      const line = document.createElement("li");
      const name = document.createElement("span");
      const state = document.createElement("span");
      const bar = document.createElement("progress");
      name.textContent = file.name;
      state.className = "soft";
      state.textContent = this.list.dataset.waiting;
      bar.max = 100;
      bar.value = 0;
      line.append(name, state, bar);
      this.list.append(line);
      this.waiting.push({ file, line, state, bar, tries: 0 });
    }
    this.next();
  }

  async next() {
    if (this.busy || !this.waiting.length || !navigator.onLine) return;
    this.busy = true;
    const one = this.waiting[0];
    const status = await this.send(one);
    if (status >= 200 && status < 300) {
      this.waiting.shift();
      one.line.remove();
      document.body.dispatchEvent(new CustomEvent("photos-changed"));
    } else if (status === 0 || status === 429 || status >= 500) {
      one.tries += 1;
      one.state.textContent = this.list.dataset.again;
      await new Promise((done) => setTimeout(done, Math.min(30000, 1000 * 2 ** one.tries)));
    } else {
      this.waiting.shift();
      one.state.textContent = one.says || this.list.dataset.refused;
      one.bar.remove();
      setTimeout(() => one.line.remove(), 12000);
    }
    this.busy = false;
    this.next();
  }

  send(one) {
    return new Promise((done) => {
      const request = new XMLHttpRequest();
      request.open("POST", this.form.action);
      request.setRequestHeader("Accept", "application/json");
      request.timeout = 120000;
      one.state.textContent = this.list.dataset.sending;
      request.upload.onprogress = (event) => { if (event.lengthComputable) one.bar.value = (100 * event.loaded) / event.total; };
      request.onload = () => {
        try { one.says = JSON.parse(request.responseText).detail; } catch { /* an answer without words */ }
        done(request.status);
      };
      request.onerror = request.ontimeout = () => done(0);
      const body = new FormData();
      body.append("photo", one.file, "photo");
      request.send(body);
    });
  }
}

on(document, "change", "form[data-photos] input[type=file]", (_, input) => {
  uploads(input.form).add(input.files);
  input.value = "";
});
on(document, "submit", "form[data-photos]", (event, form) => {
  event.preventDefault();
  const chosen = [...form.querySelectorAll("input[type=file]")].flatMap((input) => [...input.files]);
  if (chosen.length) uploads(form).add(chosen);
  else form.querySelector("input[type=file]").click();
});

const dress = () => {
  nameTheme();
  count();
  for (const input of document.querySelectorAll("form[data-photos] input[data-many]")) input.multiple = true;
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
