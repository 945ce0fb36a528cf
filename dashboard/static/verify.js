// Checks a certificate in the browser. The file is read here and sent nowhere; only the public keys are fetched.

const TYPE = "likeness-certificate+jws";
const RECEIPT = "likeness-consent-receipt+jws";
const SUBJECT = "likeness subject v1\n";
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

class Invalid extends Error {}

function fail(why) {
  throw new Invalid(why);
}

function unpadded(text) {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
  if (padless(bytes) !== text) fail("changed");
  return bytes;
}

function padless(bytes) {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const unhex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", joined(parts)));

function joined(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const same = (one, other) => one.length === other.length && one.every((byte, at) => byte === other[at]);

// The signed text

async function publicKey(jwk) {
  return crypto.subtle.importKey("jwk", { kty: "OKP", crv: "Ed25519", x: jwk.x }, { name: "Ed25519" }, false, ["verify"]);
}

export async function certificate(token, keys) {
  if (/^\s*{\s*"receipt"/.test(token)) fail("unsigned");
  const parts = token.trim().split(".");
  if (parts.length !== 3 || !parts.every((part) => /^[A-Za-z0-9_-]+$/.test(part))) fail("no-certificate");
  const header = JSON.parse(decoder.decode(unpadded(parts[0])));
  if (header.alg !== "Ed25519" || ![TYPE, RECEIPT].includes(header.typ)) fail("no-certificate");
  const jwk = keys.find((one) => one.kid === header.kid && one.kty === "OKP" && one.crv === "Ed25519");
  if (!jwk) fail("stranger");
  const words = encoder.encode(`${parts[0]}.${parts[1]}`);
  const key = await publicKey(jwk);
  if (!(await crypto.subtle.verify({ name: "Ed25519" }, key, unpadded(parts[2]), words))) fail("changed");
  const document = JSON.parse(decoder.decode(unpadded(parts[1])));
  const receipt = header.typ === RECEIPT;
  const about = receipt ? [document.record_metadata.record_id] : [document.request_ref, document.id];
  if (document.ledger?.checkpoint) await logged(document, about, jwk, key);
  return { document, fingerprint: header.kid, receipt };
}

async function logged(document, about, jwk, key) {
  const { entry, position, proof, checkpoint } = document.ledger;
  const said = JSON.parse(entry);
  if (!about.every((one) => said.objects.includes(one))) fail("log");
  const [text, signature] = checkpoint.split("\n\n");
  const [origin, size, root, time] = text.split("\n");
  const [, name, blob] = /^\u2014 (\S+) (\S+)\n?$/.exec(signature) ?? fail("log");
  const bytes = Uint8Array.from(atob(blob), (letter) => letter.charCodeAt(0));
  const named = await sha256(encoder.encode(`${name}\n`), Uint8Array.of(1), unpadded(jwk.x));
  if (!same(bytes.slice(0, 4), named.slice(0, 4))) fail("log");
  if (origin !== `${name}/${said.tenant}/${said.epoch}`) fail("log");
  const whole = encoder.encode(`${text}\n`);
  if (!(await crypto.subtle.verify({ name: "Ed25519" }, key, bytes.slice(4), whole))) fail("log");
  // Two clocks may differ by five minutes.
  if (!(Date.parse(time.replace(/^time /, "")) <= Date.now() + 300_000)) fail("later");
  const found = await rootOf(await sha256(Uint8Array.of(0), encoder.encode(entry)), position, Number(size), proof.map(unhex));
  if (btoa(String.fromCharCode(...found)) !== root) fail("log");
}

// RFC 9162, section 2.1.3.2
async function rootOf(leaf, position, size, proof) {
  if (!(position >= 0 && position < size)) fail("log");
  let [number, last, found] = [position, size - 1, leaf];
  for (const other of proof) {
    if (last === 0) fail("log");
    if (number % 2 || number === last) {
      found = await sha256(Uint8Array.of(1), other, found);
      while (number % 2 === 0 && number) [number, last] = [Math.floor(number / 2), Math.floor(last / 2)];
    } else {
      found = await sha256(Uint8Array.of(1), found, other);
    }
    [number, last] = [Math.floor(number / 2), Math.floor(last / 2)];
  }
  if (last) fail("log");
  return found;
}

// Whose it is

const plain = (text) => text.normalize("NFC").split(/\s+/u).filter(Boolean).join(" ").toLowerCase().normalize("NFC");
const codeOf = (text) =>
  text.toUpperCase().replace(/[^0-9A-Z]/g, "").replaceAll("0", "O").replaceAll("1", "I").replaceAll("8", "B");

export async function isAbout(document, name, email, code) {
  if (!document.subject_commitment) return false;
  const words = [codeOf(code), plain(email), plain(name)].join("\n");
  return hex(await sha256(encoder.encode(SUBJECT + words))) === document.subject_commitment;
}

// The page and its seal

const latin = (bytes) => new TextDecoder("latin1").decode(bytes);

// A certificate's page takes some 100 KB and holds one file, whose facts are short.
const [LARGEST, FILES, NEAR] = [2 ** 25, 16, 4096];

async function outOf(pdf) {
  const text = latin(pdf);
  for (let at = text.indexOf("/EmbeddedFile"), tried = 0; at >= 0 && tried < FILES; tried += 1) {
    const [before, after] = [text.slice(Math.max(0, at - NEAR), at), text.slice(at, at + NEAR)];
    const [opened, stream] = [before.lastIndexOf("<<"), />>\s*stream\r?\n/.exec(after)];
    const facts = opened >= 0 && stream ? before.slice(opened) + after.slice(0, stream.index) : "endobj";
    if (!facts.includes("endobj")) {
      const start = at + stream.index + stream[0].length;
      // A browser refuses to inflate with anything after the end, also the line break before "endstream".
      const length = /\/Length (\d+)(?! \d+ R)/.exec(facts);
      let content = pdf.slice(start, length ? start + Number(length[1]) : text.indexOf("endstream", start));
      if (facts.includes("/FlateDecode")) content = await inflated(content);
      const words = latin(content).trim();
      if (/^[\w-]+\.[\w-]+\.[\w-]+$/.test(words)) return words;
    }
    at = text.indexOf("/EmbeddedFile", at + 1);
  }
  return fail("no-certificate");
}

async function inflated(content) {
  const reader = new Blob([content]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const parts = [];
  for (let length = 0; length <= LARGEST; length += parts.at(-1).length) {
    const { done, value } = await reader.read().catch(() => fail("no-certificate"));
    if (done) return joined(parts);
    parts.push(value);
  }
  return fail("no-certificate");
}

async function seal(pdf, sealedBy) {
  const text = latin(pdf);
  const ranges = [...text.matchAll(/\/ByteRange\s*\[\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s*\]/g)];
  if (ranges.length !== 1) fail("seal");
  const [first, length, second, rest] = ranges[0].slice(1).map(Number);
  // Nothing may follow the seal, and nothing but the seal itself may be left out of what it covers.
  if (first !== 0 || second + rest !== pdf.length) fail("seal");
  const gap = text.slice(length, second);
  if (!/^<[0-9a-fA-F]*>$/.test(gap)) fail("seal");
  const info = signedData(unhex(gap.slice(1, -1)));
  if (hex(await sha256(info.certificate)) !== sealedBy) fail("seal");
  const covered = await sha256(pdf.slice(0, length), pdf.slice(second));
  if (!same(covered, info.digest)) fail("seal");
  const key = await crypto.subtle.importKey("spki", info.key, { name: "ECDSA", namedCurve: "P-256" }, false, ["verify"]);
  const how = { name: "ECDSA", hash: "SHA-256" };
  if (!(await crypto.subtle.verify(how, key, info.signature, info.attributes))) fail("seal");
}

// One element of DER: its tag, its content, and all of its bytes.
function element(bytes, at) {
  let length = bytes[at + 1];
  let start = at + 2;
  if (length & 0x80) {
    const count = length & 0x7f;
    if (count > 4) fail("seal");
    length = 0;
    for (let one = 0; one < count; one += 1) length = length * 256 + bytes[start + one];
    start += count;
  }
  const end = start + length;
  if (!(end <= bytes.length)) fail("seal");
  return { tag: bytes[at], content: bytes.slice(start, end), bytes: bytes.slice(at, end), end };
}

function children(bytes) {
  const found = [];
  for (let at = 0; at < bytes.length; at = found.at(-1).end) found.push(element(bytes, at));
  return found;
}

const MESSAGE_DIGEST = "2a864886f70d010904";

function signedData(bytes) {
  const parts = children(children(children(element(bytes, 0).content)[1].content)[0].content);
  const certificate = children(parts.find((one) => one.tag === 0xa0).content)[0];
  const signer = children(children(parts.at(-1).content)[0].content);
  const at = signer.findIndex((one) => one.tag === 0xa0);
  const attributes = signer[at];
  const digest = children(attributes.content)
    .map((one) => children(one.content))
    .find(([name]) => hex(name.content) === MESSAGE_DIGEST);
  const asSet = attributes.bytes.slice();
  asSet[0] = 0x31;
  const [r, s] = children(element(signer[at + 2].content, 0).content).map((one) => sized(one.content));
  const body = children(children(certificate.content)[0].content).filter((one) => one.tag !== 0xa0);
  return {
    certificate: certificate.bytes,
    key: body[5].bytes,
    attributes: asSet,
    digest: children(digest[1].content)[0].content,
    signature: joined([r, s]),
  };
}

function sized(number) {
  const digits = number.slice(Math.max(0, number.length - 32));
  return joined([new Uint8Array(32 - digits.length), digits]);
}

export async function check(bytes, keys) {
  const paper = latin(bytes.slice(0, 5)) === "%PDF-";
  const found = await certificate(paper ? await outOf(bytes) : latin(bytes), keys);
  if (paper && found.receipt) fail("no-certificate"); // A receipt has no page.
  if (paper) await seal(bytes, found.document.paper?.sealed_by);
  return { ...found, paper };
}

// The form

const form = globalThis.document?.getElementById("verify");

function receiptFacts(said, fingerprint, say) {
  const [purpose] = said.pii_processing.purposes;
  const at = (state) => said.events.find((one) => one.event_state === `consent ${state}`)?.event_time;
  const withdrawn = at("withdrawn");
  return [
    [say("number"), said.record_metadata.record_id], [say("controller"), said.party_identification[0].party_name],
    [say("purpose"), purpose.purpose], [say("given"), at("given")],
    ...(withdrawn ? [[say("withdrawn"), withdrawn]] : []), [say("fingerprint"), fingerprint],
  ];
}

async function show() {
  const outcome = document.getElementById("outcome");
  const say = (name) => outcome.dataset[name] ?? outcome.dataset.bad;
  const put = (kind, words, facts = []) => {
    const box = document.createElement("div");
    box.className = `say say-${kind}`;
    const line = document.createElement("p");
    line.textContent = words;
    box.append(line);
    const list = document.createElement("dl");
    list.className = "facts facts-long";
    for (const [name, value] of facts) {
      const [term, text] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      text.textContent = value;
      text.className = "mono";
      list.append(term, text);
    }
    outcome.replaceChildren(box, ...(facts.length ? [list] : []));
    outcome.dataset.kind = kind;
  };
  const file = form.elements.file.files[0];
  if (!file) return;
  try {
    if (file.size > LARGEST) fail("no-certificate");
    const answer = await fetch("/.well-known/likeness-certificates.jwks.json");
    const { keys } = await answer.json();
    const { document: said, fingerprint, paper, receipt } = await check(new Uint8Array(await file.arrayBuffer()), keys);
    if (receipt) return put("good", say("receipt"), receiptFacts(said, fingerprint, say));
    const facts = [
      [say("number"), said.id], [say("controller"), said.controller], [say("deleted"), said.deleted_at ?? said.key_of_the_company?.destroyed_at],
      [say("checked"), said.verification.finished_at], [say("fingerprint"), fingerprint],
    ];
    const [name, email, code] = ["name", "email", "code"].map((field) => form.elements[field].value);
    if (!name && !email && !code) return put("good", say(paper ? "paper" : "good"), facts);
    const mine = await isAbout(said, name, email, code);
    return put(mine ? "good" : "bad", say(mine ? "yours" : "notyours"), mine ? facts : []);
  } catch (error) {
    const supported = error instanceof Invalid || !["NotSupportedError", "TypeError"].includes(error.name);
    return put("bad", supported ? say(error.message.replace("-", "")) : say("unsupported"));
  }
}

if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    show();
  });
  const expected = new URLSearchParams(location.hash.slice(1)).get("certificate");
  if (expected) document.getElementById("expected").textContent = expected;
  // Whoever reads another language than the browser's keeps what the code on the paper said.
  for (const link of document.querySelectorAll(".languages a")) link.hash = location.hash;
}
