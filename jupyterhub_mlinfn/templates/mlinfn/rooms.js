// Keeps the list of rooms fresh while somebody looks at it, starts and stops them, and goes in when one is ready.
(() => {
  const EVERY_MS = 5000, STREAMS = 3, FACES = 6, QUIET_MS = 30000;
  const { byId, write, show, set, say, counted, size } = service;
  const ask = (path, options) => service.ask(`rooms${path}`, options);
  const cards = new Map(), streams = new Map(), failures = new Map(), entering = new Set(), asked = new Set();
  let timer = null, turn = 0, rooms = [], stopping = "", leaving = false;

  function gpus(told) {  // "2", "t4:1"
    const [number, kind] = String(told).split(":").reverse();
    return Number(number) ? counted(Number(number), "GPU") + (kind ? ` (${kind})` : "") : "no GPU";
  }
  function clock(moment) {
    const today = new Date(moment).toDateString() === new Date().toDateString();
    return new Intl.DateTimeFormat("en-GB", today ? { timeStyle: "short" } : { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" })
      .format(new Date(moment));
  }
  const listed = new Intl.ListFormat("en", { type: "conjunction" });
  function people(room) {
    const names = room.inside.map((each) => each.display_name || each.name);
    if (!names.length) return room.state === "running" ? "Nobody is inside." : "";
    const shown = names.length > FACES ? [...names.slice(0, FACES - 1), counted(names.length - FACES + 1, "other")] : names;
    return `${listed.format(shown)} ${names.length === 1 ? "is" : "are"} inside.`;
  }
  function states(room) {
    const since = room.since && room.state === "running" ? ` since ${clock(room.since)}` : "";
    return { stopped: "Not running", starting: "Starting", running: `Running${since}`, stopping: "Stopping" }[room.state] || room.state;
  }

  // ---- one card

  function make(name) {
    const card = byId("room").content.firstElementChild.cloneNode(true);
    const find = (part) => card.querySelector(`.room-${part}`);
    card.id = `room-${name}`;
    find("title").id = `title-${name}`;
    find("start").firstElementChild.setAttribute("aria-labelledby", `title-${name}`);
    find("begin").addEventListener("click", () => begin(name, "0"));
    find("begin-gpus").addEventListener("click", () => begin(name, roomOf(name).gpus.offered));
    find("end").addEventListener("click", () => askToStop(name));
    progress(find, 0, "");
    return { card, find };
  }

  const roomOf = (name) => rooms.find((each) => each.name === name);

  function draw({ card, find }, room) {
    set(card, "data-state", room.state);
    write(find("title"), room.title);
    write(find("group"), `Group ${room.group}`);
    write(find("state"), states(room));
    write(find("memory"), size(room.memory));
    write(find("cpus"), counted(room.cpus, "CPU"));
    const offers = gpus(room.gpus.offered) !== "no GPU", runs = room.state === "running";
    write(find("gpus"), runs ? gpus(room.gpus.held) : gpus(room.gpus.offered) + (offers ? " if wanted" : ""));
    write(find("people"), people(room));
    faces(find("faces"), room.inside);
    buttons(find, room, offers, runs);
    const failure = failures.get(room.name) || "";
    write(find("failed"), failure);
    show(find("failed"), Boolean(failure));
    show(find("start"), room.state === "starting");
    if (room.state !== "starting") progress(find, 0, "");
  }

  function progress(find, percent, message) {
    const bar = find("start").firstElementChild;
    set(bar, "aria-valuenow", String(percent));
    bar.firstElementChild.style.width = `${percent}%`;
    write(find("percent"), `${percent}%`);
    write(find("message"), message || "Asked for.");
  }

  function buttons(find, room, offers, runs) {
    const stopped = room.state === "stopped", busy = asked.has(room.name);
    const leads = /^(https?:\/\/|\/)/.test(room.url);
    show(find("enter"), runs && leads);
    if (leads) set(find("enter"), "href", room.url);
    show(find("begin"), stopped);
    show(find("begin-gpus"), stopped && offers);
    show(find("end"), runs || room.state === "starting");
    label(find("enter"), "Enter", room);
    label(find("begin"), offers ? "Start without a GPU" : "Start", room);
    label(find("begin-gpus"), `Start with ${gpus(room.gpus.offered).replace(/ \(.*/, "")}`, room);
    label(find("end"), runs ? "Stop…" : "Cancel", room);
    for (const each of ["begin", "begin-gpus", "end"]) find(each).disabled = busy;
  }

  function label(button, text, room) {
    write(button, text);
    set(button, "aria-label", `${text}: ${room.title}`);
  }

  function faces(place, inside) {
    const told = JSON.stringify(inside);
    if (place.dataset.told === told) return;
    place.dataset.told = told;
    const shown = inside.length > FACES ? inside.slice(0, FACES - 1) : inside;
    place.replaceChildren(...shown.map((each) => face(each.initials || each.name.slice(0, 1), each)));
    if (inside.length > FACES) place.append(face(`+${inside.length - FACES + 1}`, null));
  }

  function face(text, person) {
    const made = document.createElement("li");
    made.className = person ? "room-face" : "room-face room-more";
    made.textContent = [...text].slice(0, 3).join("");
    if (person) {
      made.title = person.display_name || person.name;
      made.style.backgroundColor = person.color;
      made.classList.toggle("room-dark", isLight(person.color));
    }
    return made;
  }

  // whether dark letters read better on it
  function isLight(color) {
    const found = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(color || "");
    if (!found) return false;
    const [r, g, b] = found.slice(1).map((part) => (parseInt(part, 16) / 255) ** 2.2);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18;
  }

  // ---- the list

  function drawAll() {
    const list = byId("rooms"), names = new Set(rooms.map((room) => room.name));
    for (const [name, { card }] of cards) if (!names.has(name)) { card.remove(); cards.delete(name); }
    rooms.forEach((room, index) => {
      if (!cards.has(room.name)) cards.set(room.name, make(room.name));
      const { card } = cards.get(room.name);
      if (list.children[index] !== card) list.insertBefore(card, list.children[index] || null);
      draw(cards.get(room.name), room);
    });
    show(byId("looking"), false);
    show(list, rooms.length > 0);
    show(byId("none"), rooms.length === 0);
    if (byId("stopping").open) tellWho();
  }

  function trouble(text) {
    write(byId("trouble"), text);
    show(byId("trouble"), Boolean(text));
    byId("rooms").classList.toggle("rooms-old", Boolean(text));
    if (text) show(byId("looking"), false);
  }

  // of several questions under way only the last one counts
  async function look() {
    const mine = ++turn;
    clearTimeout(timer);
    try {
      const answer = await (await ask("")).json();
      if (mine !== turn) return;
      rooms = answer.rooms;
      trouble("");
      rooms.forEach(follow);
      drawAll();
    } catch (error) {
      if (mine !== turn) return;
      trouble(error.message);
    }
    if (document.visibilityState === "visible") timer = setTimeout(look, EVERY_MS);
  }

  // what becomes of a room that this page started
  function follow(room) {
    if (room.state === "running" && entering.has(room.name)) return enter(room);
    if (room.state === "starting") return watch(room.name);
    if (entering.has(room.name) && room.state === "stopped" && !streams.has(room.name) && !asked.has(room.name)) {
      fail(room.name, failures.get(room.name) || "It did not start. Try again.");
    }
  }

  function enter(room) {
    if (leaving || byId("stopping").open) return;
    entering.delete(room.name);
    leaving = true;
    say(`${room.title} is ready. Going in.`);
    window.location.assign(room.url);
  }

  function fail(name, text) {
    entering.delete(name);
    failures.set(name, text);
  }

  // ---- starting and stopping

  async function act(name, what, body) {
    asked.add(name);
    failures.delete(name);
    drawAll();
    try {
      await ask(`/${name}/${what}`, { method: "POST", body: JSON.stringify(body) });
    } catch (error) {
      fail(name, error.message);
      return false;
    } finally {
      asked.delete(name);
      drawAll();
    }
    return true;
  }

  async function begin(name, wanted) {
    const { title } = roomOf(name);
    say(`${title}: starting.`);
    entering.add(name);
    if (await act(name, "start", { gpus: wanted })) watch(name);
    look();
  }

  function askToStop(name) {
    if (roomOf(name).state !== "running") return end(name);
    stopping = name;
    write(byId("stopping-title"), `Stop ${roomOf(name).title}?`);
    tellWho();
    byId("stopping").showModal();
    byId("stopping-no").focus();
  }

  function tellWho() {
    const room = roomOf(stopping);
    write(byId("stopping-who"), room ? people(room) || "Nobody is inside." : "It is gone.");
  }

  async function end(name) {
    entering.delete(name);
    streams.get(name)?.abort();  // it would say that the start has failed
    say(`${roomOf(name).title}: stopping.`);
    await act(name, "stop", {});
    look();
  }

  byId("stopping-yes").addEventListener("click", () => {
    byId("stopping").close();
    if (roomOf(stopping)) end(stopping);
  });
  byId("stopping-no").addEventListener("click", () => byId("stopping").close());

  // ---- the progress of a start; a browser has few connections, so only some are watched, this page's own first

  async function watch(name) {
    if (streams.has(name) || (streams.size >= STREAMS && !entering.has(name))) return;
    const stop = new AbortController();
    streams.set(name, stop);
    let ended = false;
    try {
      const answer = await ask(`/${name}/progress`, { signal: stop.signal });
      for await (const event of events(answer.body)) {
        hear(name, event);
        ended ||= Boolean(event.ready || event.failed);
      }
    } catch (error) {
      // it is over already, or the hub is away: the list says which
    } finally {
      streams.delete(name);
    }
    if (ended && !leaving) look();
  }

  async function* events(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line.startsWith("data:")) yield JSON.parse(line.slice(5));
    }
  }

  const heard = new Map();  // room -> what was said aloud of it last, and when
  function hear(name, event) {
    const known = cards.get(name);
    if (event.failed) return fail(name, (event.message || "It did not start.").replace(/^Spawn failed: /, ""));
    if (!known || event.ready) return;
    const before = Number(known.find("start").firstElementChild.getAttribute("aria-valuenow"));
    progress(known.find, Math.max(event.progress || 0, before), event.message || known.find("message").textContent);
    if (event.message) aloud(name, event.message);
  }

  function aloud(name, message) {
    const step = message.replace(/[\d.,]+/g, "#"), last = heard.get(name) || {};
    if (step === last.step && Date.now() - last.at < QUIET_MS) return;
    heard.set(name, { step, at: Date.now() });
    if (entering.has(name)) say(`${roomOf(name).title}: ${message}`);
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.visibilityState === "visible") look();
  });
  // a page that comes back out of the browser's history
  window.addEventListener("pageshow", (event) => { if (event.persisted) { leaving = false; entering.clear(); look(); } });
  look();
})();
