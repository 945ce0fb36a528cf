// Handing in photos: one after the other, each from where it broke off. The browser remembers names, sizes and how far it
// got, never a picture; after the page was closed the person chooses the files again, and what has arrived is not sent twice.

const form = document.querySelector("form[data-uploads]");
const list = document.getElementById("queue");
const words = list.dataset;
const endpoint = new URL(form.dataset.uploads, location.href).href;
const largest = Number(form.dataset.largest);
const MEMORY = "likeness-uploads";
const DAY = 24 * 3600 * 1000;
// A connection is given up for want of progress, however long the whole takes.
const STALLED = 60 * 1000;
const canDigest = Boolean(globalThis.crypto?.subtle);

// What is left of a closed page. On a shared computer the next person finds nothing of the one before.
const remembered = () => {
  try {
    const kept = JSON.parse(localStorage.getItem(MEMORY) ?? "{}");
    if (kept.person === form.dataset.person) return kept.files.filter((file) => file.at > Date.now() - DAY);
    localStorage.removeItem(MEMORY);
  } catch { /* then nothing is remembered */ }
  return [];
};
const remember = () => {
  const files = lines.filter((line) => !SETTLED.has(line.kind)).map(({ name, size, modified, url, sent, at }) => ({ name, size, modified, url, sent, at }));
  try {
    if (files.length) localStorage.setItem(MEMORY, JSON.stringify({ person: form.dataset.person, files }));
    else localStorage.removeItem(MEMORY);
  } catch { /* a browser that keeps nothing still sends */ }
};

// In the order in which they are sent. A line is waiting, sending, left (by a page that was closed), vanished, refused or
// known (this file is among the person's photos already).
const SETTLED = new Set(["refused", "known"]);
let lines = [];
let busy = false;
let ended = false;
let timer = 0;

const make = (facts) => {
  const line = { url: null, sent: 0, at: Date.now(), kind: "waiting", file: null, tries: 0, notBefore: 0, ...facts };
  line.item = document.createElement("li");
  line.state = document.createElement("span");
  line.bar = document.createElement("progress");
  line.bar.max = 100;
  const name = document.createElement("span");
  name.className = "name";
  name.textContent = line.name;
  const remove = document.createElement("button");
  line.word = document.createElement("span");
  const whose = document.createElement("span");
  remove.type = "button";
  remove.className = "text-button text-button-bad";
  whose.className = "hidden-visually";
  whose.textContent = ` ${line.name}`;
  remove.append(line.word, whose);
  remove.addEventListener("click", () => give_up(line));
  line.bar.setAttribute("aria-label", line.name);
  line.item.append(name, remove, line.state, line.bar);
  list.append(line.item);
  lines.push(line);
  return line;
};

const show = (line, kind, says) => {
  line.kind = kind;
  line.state.textContent = says;
  // What is closed beside a photo that was there already is the line alone, never the photo.
  line.word.textContent = kind === "known" ? words.close : words.remove;
  line.state.className = kind === "refused" || kind === "vanished" ? "bad" : "soft";
  line.bar.hidden = SETTLED.has(kind) || kind === "vanished";
  line.bar.value = line.size ? (100 * line.sent) / line.size : 0;
  document.getElementById("queue-left").hidden = !lines.some((one) => one.kind === "left");
};

const drop = (line) => {
  lines = lines.filter((one) => one !== line);
  line.item.remove();
  remember();
  document.getElementById("queue-left").hidden = !lines.some((one) => one.kind === "left");
};

const to_the_back = (line) => {
  lines = [...lines.filter((one) => one !== line), line];
  list.append(line.item);
};

const give_up = (line) => {
  line.removed = true;
  line.stop?.();
  if (line.url) fetch(line.url, { method: "DELETE", headers: { "tus-resumable": "1.0.0" } }).catch(() => {});
  drop(line);
  form.querySelector("input[type=file]").focus();
};

const add = (files) => {
  for (const file of files) {
    const same = (one) => one.name === file.name && one.size === file.size;
    // Without a digest the server could not notice that another picture has this name and size by now.
    const goes_on = lines.find((one) => !one.file && same(one) && (canDigest || one.modified === file.lastModified));
    if (!goes_on && lines.some((one) => one.file && same(one) && one.modified === file.lastModified && one.kind !== "vanished" && !SETTLED.has(one.kind))) continue;
    const line = goes_on ?? lines.find((one) => (one.kind === "vanished" || one.kind === "known") && one.name === file.name) ?? make({ name: file.name });
    if (line.size !== file.size) Object.assign(line, { url: null, sent: 0 });
    Object.assign(line, { file, size: file.size, modified: file.lastModified, at: Date.now(), tries: 0, notBefore: 0 });
    show(line, "waiting", words.waiting);
  }
  remember();
  next();
};

const next = async () => {
  clearTimeout(timer);
  if (busy || ended) return;
  const waiting = lines.filter((line) => line.kind === "waiting");
  const line = waiting.find((one) => one.notBefore <= Date.now());
  if (!line) {
    if (waiting.length) timer = setTimeout(next, Math.max(50, Math.min(...waiting.map((one) => one.notBefore)) - Date.now()));
    return;
  }
  busy = true;
  show(line, "sending", words.sending);
  const answer = await send(line);
  busy = false;
  if (!line.removed) settle(line, answer);
  next();
};

// The file is read before anything is sent: one that was moved, edited or is not on this device any more is found out here.
const send = async (line) => {
  let body = line.file;
  let digest = null;
  if (line.size <= largest) {
    try {
      const data = await line.file.arrayBuffer();
      if (data.byteLength !== line.size) return { vanished: true };
      body = new Blob([data]);
      if (canDigest) digest = [...new Uint8Array(await crypto.subtle.digest("SHA-256", data))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    } catch { return { vanished: true }; }
  }
  return line.removed ? {} : transfer(line, body, digest);
};

const transfer = (line, body, digest) => new Promise((done) => {
  let moved = Date.now();
  let noted = 0;
  const upload = new tus.Upload(body, {
    endpoint,
    uploadUrl: line.url,
    metadata: digest ? { sha256: digest } : {},
    retryDelays: null,
    storeFingerprintForResuming: false,
    onUploadUrlAvailable: () => { line.url = upload.url; remember(); },
    onProgress: (sent) => {
      moved = Date.now();
      line.sent = sent;
      line.bar.value = line.size ? (100 * sent) / line.size : 0;
      if (moved - noted > 2000) { noted = line.at = moved; remember(); }
    },
    onSuccess: ({ lastResponse }) => end({ status: 204, known: lastResponse.getHeader("photo-known") === "true" }),
    onError: (error) => end(read(error)),
  });
  // What the system has taken into its buffers still travels, unseen from here: then the server says whether it arrives.
  let arrived = 0;
  const watch = setInterval(async () => {
    const still = Date.now() - moved;
    if (still > STALLED) return line.stop?.();
    if (still < STALLED / 3 || !line.url) return;
    const received = (await on_the_server())?.get(line.url) ?? 0;
    if (received > arrived) [arrived, moved] = [received, Date.now()];
  }, 5000);
  const end = (answer) => { clearInterval(watch); line.stop = null; done(answer); };
  line.stop = () => { upload.abort().catch(() => {}); end({ status: 0 }); };
  upload.start();
});

// How much of each unfinished photo is there, by its address; nothing when the server cannot be asked.
const on_the_server = () => fetch(endpoint)
  .then((answer) => (answer.ok ? answer.json() : null))
  .then((mine) => mine && new Map(mine.map((one) => [`${endpoint}/${one.id}`, one.received])))
  .catch(() => null);

const read = (error) => {
  const response = error.originalResponse;
  if (!response) return { status: 0 };
  const answer = { status: response.getStatus(), after: Number(response.getHeader("retry-after")) || 0 };
  try {
    const { detail, type } = JSON.parse(response.getBody());
    Object.assign(answer, { says: detail, type });
  } catch { /* an answer without words */ }
  return answer;
};

const AGAIN = new Set([0, 408, 423, 425, 429]);
// Of what stands in the way of a photo this alone passes with another try: not that there are too many, or that they are not used.
const PASSING = new Set(["urn:likeness:offset-moved", "urn:likeness:file-changed"]);

const settle = (line, answer) => {
  if (answer.vanished) {
    line.file = null;
    to_the_back(line);
    show(line, "vanished", words.vanished);
  } else if (answer.known) {
    line.url = null;
    to_the_back(line);
    show(line, "known", words.known);
  } else if (answer.status >= 200 && answer.status < 300) {
    drop(line);
    document.body.dispatchEvent(new CustomEvent("photos-changed"));
  } else if (answer.status === 401) {
    ended = true;
    for (const one of lines.filter((other) => other.kind === "waiting" || other === line)) show(one, "waiting", words.ended);
  } else if (AGAIN.has(answer.status) || PASSING.has(answer.type) || answer.status >= 500) {
    if (answer.type === "urn:likeness:file-changed") Object.assign(line, { url: null, sent: 0 });
    line.tries += 1;
    line.notBefore = Date.now() + Math.max(1000 * (answer.after ?? 0), Math.min(30000, 1000 * 2 ** line.tries));
    to_the_back(line);
    show(line, "waiting", answer.says ? `${answer.says} ${words.later}` : words.again);
  } else {
    line.url = null;
    show(line, "refused", answer.says || words.refused);
  }
  remember();
};

form.addEventListener("change", (event) => {
  if (!event.target.matches("input[type=file]")) return;
  const chosen = [...event.target.files];
  event.target.value = "";
  add(chosen);
});
document.addEventListener("photos-taken", (event) => add(event.detail));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  form.querySelector("input[type=file]").click();
});
addEventListener("online", () => {
  for (const line of lines) line.notBefore = 0;
  next();
});
addEventListener("beforeunload", (event) => {
  if (lines.some((line) => line.kind === "waiting" || line.kind === "sending")) event.preventDefault();
});

// Last, because it waits for an answer, and files may be chosen meanwhile.
for (const file of remembered()) show(make({ ...file, kind: "left" }), "left", words.left);
if (lines.length) {
  const known = await on_the_server();
  for (const line of lines.filter((one) => known && one.kind === "left")) {
    line.sent = known.get(line.url) ?? 0;
    if (!known.has(line.url)) line.url = null;
    const percent = Math.max(1, Math.floor((100 * line.sent) / line.size));
    show(line, "left", line.sent ? words.part.replace("{percent}", percent) : words.left);
  }
  remember();
}
