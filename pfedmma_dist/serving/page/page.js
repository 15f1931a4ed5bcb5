"use strict";

const TRIES = 6; // of an image that the server is too busy for
const part = (id) => document.getElementById(id);
const shown = []; // {file, card, body}, newest first
let facts = null; // of GET /clients
let own = new Set(); // classes of the client in question
let turn = 0; // of asking; an answer to an earlier one is not shown

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function say(words, bad = false) {
  part("status").textContent = words;
  part("status").classList.toggle("bad", bad);
}

const heading = (who) => facts.others[who] || `client ${who}`;

function percent(share) {
  if (share < 0.001) return "< 0.1 %";
  return share > 0.999 ? "> 99.9 %" : `${(100 * share).toFixed(1)} %`;
}

function column(who, guesses, isAsked) {
  const node = make("section", isAsked ? "asked" : "");
  node.append(make("h2", "", heading(who)));
  const list = make("ol");
  for (const guess of guesses) {
    const item = make("li", own.has(guess.class) ? "is-own" : "");
    const line = make("div", "line");
    const name = make("span", "name", guess.class);
    if (own.has(guess.class)) name.title = "a class of this client's own";
    line.append(name);
    if (own.has(guess.class)) line.append(make("span", "unseen", "(own class)")); // of the dot
    line.append(make("span", "share", percent(guess.probability)));
    const track = make("div", "track");
    const bar = make("div", "bar");
    bar.style.width = `${100 * guess.probability}%`;
    track.append(bar);
    item.append(line, track);
    list.append(item);
  }
  node.append(list);
  return node;
}

function add(file) {
  const card = make("article", "card");
  card.setAttribute("aria-label", file.name);
  const figure = make("figure");
  const image = make("img");
  image.alt = "";
  image.src = URL.createObjectURL(file);
  image.addEventListener("error", () => image.remove());
  figure.append(image, make("figcaption", "", file.name));
  const body = make("div");
  body.append(make("p", "waiting", "waiting …"));
  card.append(figure, body);
  part("answers").prepend(card);
  const entry = { file, card, body, image, caption: figure.lastChild };
  shown.unshift(entry);
  while (shown.length > facts.limits.images) {
    const old = shown.pop();
    URL.revokeObjectURL(old.image.src);
    old.card.remove();
  }
  return entry;
}

function refuse(entry, words) {
  entry.words = `${entry.file.name}: ${words}`;
  entry.refused = true;
  entry.body.replaceChildren(make("p", "bad-image", words));
}

function show(entry, reply) {
  const [found] = reply.images;
  if (found.error) return refuse(entry, `Not classified: ${found.error}.`);
  const size = `${entry.file.name} · ${found.width}\u00a0×\u00a0${found.height}`;
  entry.caption.textContent = found.note ? `${size} · ${found.note}` : size;
  const columns = make("div", "columns");
  const answers = Object.entries(found.answers);
  if (answers.length < 3) columns.classList.add("two");
  // Keys that are numbers come first in JavaScript, as the client in question does here.
  answers.forEach(([who, guesses]) => columns.append(column(who, guesses, who === reply.client)));
  entry.body.replaceChildren(columns);
  entry.refused = false;
  const [best] = found.answers[reply.client];
  entry.words = `${entry.file.name}: ${heading(reply.client)} says ${best.class}, ${percent(best.probability)}.`;
  return undefined;
}

const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

async function ask(entry, mine) {
  if (entry.file.size > facts.limits.bytes) {
    const most = Math.round(facts.limits.bytes / 1e6);
    return refuse(entry, `Not sent: the file is larger than ${most} MB. Scale it down.`);
  }
  const form = new FormData();
  form.append("image", entry.file, entry.file.name || "pasted");
  const query = new URLSearchParams({ client: part("client").value, top: part("top").value });
  for (let attempt = 1; ; attempt += 1) {
    const answer = await fetch(`/classify?${query}`, { method: "POST", body: form });
    if (answer.status === 503 && attempt < TRIES) {
      await pause(Number(answer.headers.get("retry-after")) || 2);
      continue;
    }
    const reply = await answer.json();
    if (mine !== turn) return undefined;
    return reply.images ? show(entry, reply) : refuse(entry, `Not classified: ${reply.error}.`);
  }
}

async function askAbout(entries) {
  const mine = ++turn;
  if (!part("client").checkValidity()) {
    say(`Give a client from 0 to ${facts.num_clients - 1}.`, true);
    return;
  }
  shown.forEach((entry) => entry.card.classList.add("stale"));
  const waiting = [...new Set([...entries, ...shown.filter((entry) => entry.due)])];
  waiting.forEach((entry) => { entry.due = true; });
  let done = 0;
  for (const entry of waiting) {
    say(`Asking about image ${done + 1} of ${waiting.length} …`);
    try {
      await ask(entry, mine);
    } catch (error) {
      if (mine === turn) {
        refuse(entry, "Not classified: the server did not answer. Is it still running?");
      }
    }
    if (mine !== turn) return; // asked anew meanwhile
    entry.due = false;
    entry.card.classList.remove("stale");
    done += 1;
  }
  shown.forEach((entry) => entry.card.classList.remove("stale"));
  if (done === 1) say(waiting[0].words); // who does not see the card hears what it says
  else if (done) {
    const refused = waiting.filter((entry) => entry.refused).length;
    say(`${done - refused} images answered${refused ? `, ${refused} not classified` : ""}.`);
  } else say("");
}

function take(files) {
  const images = [...files];
  if (!images.length || !facts) return;
  const kept = images.slice(0, facts.limits.images);
  const entries = kept.reverse().map(add).reverse(); // the first on top
  askAbout(entries).then(() => {
    if (kept.length < images.length) {
      say(`${images.length - kept.length} images were left out: ${kept.length} are the most.`, true);
    }
  });
}

async function chooseClient() {
  const input = part("client");
  own = new Set();
  const isClient = input.checkValidity();
  input.setAttribute("aria-invalid", String(!isClient));
  if (!isClient) {
    const words = `There is no such client: give a number from 0 to ${facts.num_clients - 1}.`;
    part("own").replaceChildren(make("span", "bad-client", words));
    return;
  }
  const chosen = input.value;
  const answer = await fetch(`/clients/${encodeURIComponent(chosen)}`);
  const found = await answer.json();
  if (input.value !== chosen) return;
  own = new Set(found.classes || []);
  part("own").replaceChildren();
  if (!answer.ok) part("own").append(found.error);
  if (own.size) {
    part("own").append(make("span", "dot", "●"), ` own classes: ${[...own].join(", ")}. `);
  }
  if (found.has_trained === false) part("own").append("This client never took part in a round.");
  if (shown.length) askAbout(shown);
}

async function begin() {
  try {
    facts = await (await fetch("/clients")).json();
  } catch (error) {
    say("The server does not answer. Start it again and reload this page.", true);
    return;
  }
  part("run").textContent = facts.run;
  document.title = `Ask a client · ${facts.run}`;
  const most = Math.round(facts.limits.bytes / 1e6);
  part("most").textContent = `at most ${facts.limits.images} at a time, ${most} MB each`;
  part("client").max = facts.num_clients - 1;
  part("client").value = facts.others[facts.client] ? 0 : facts.client;
  const drop = part("drop");
  part("files").addEventListener("change", (event) => {
    take(event.target.files);
    event.target.value = ""; // so that the same file can be chosen again
  });
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  document.addEventListener("dragleave", () => drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => take(event.clipboardData.files));
  part("ask").addEventListener("submit", (event) => event.preventDefault());
  part("client").addEventListener("change", chooseClient);
  part("top").addEventListener("change", () => shown.length && askAbout(shown));
  await chooseClient();
}

begin();
