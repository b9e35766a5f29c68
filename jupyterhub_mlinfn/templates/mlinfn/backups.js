// Shows what was in a folder at a date, and brings back what somebody picks. Where one is stands behind the # of the
// address, so the browser's own buttons lead back.
(() => {
  const AGAIN_MS = 5000, WATCH_MS = 1000, ANSWER_MS = 95000, FEW = 20, NAMES = 3, DAY_MS = 86400000;
  const RESTARTED = "The service of backups was started again meanwhile, and nothing was put in place. Restore it again.";
  const KINDS = { groups: "Groups", rooms: "Rooms" };
  const { byId, write, show, set, say, counted, size } = service;
  const lab = byId("backups").dataset.lab;
  let places = [], dates = [], isKnown = false, datesOf = null, turn = 0, again = null;
  let at = {}, entries = [], here = {}, drawn = "";  // what is wanted; what is in view, where that is, and as a text
  let restores = [], watching = null, watched = 0, asking = false, wasAway = false;

  const ask = async (path, options) => (await service.ask(path, { signal: AbortSignal.timeout(ANSWER_MS), ...options })).json();
  const isAway = (error) => !error.status || error.status >= 500;

  // ---- words

  const words = (options) => new Intl.DateTimeFormat("en-GB", options);
  const clock = words({ hour: "2-digit", minute: "2-digit" }), month = words({ month: "long", year: "numeric" });
  const day = words({ weekday: "long", day: "numeric", month: "long" });
  const dayAndYear = words({ weekday: "long", day: "numeric", month: "long", year: "numeric" });
  const short = words({ day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
  const midnight = (moment) => new Date(moment.getFullYear(), moment.getMonth(), moment.getDate());
  const daysAgo = (moment) => Math.round((midnight(new Date()) - midnight(moment)) / DAY_MS);

  function said(time) {  // "Yesterday 03:00", "Tuesday 24 November 03:00"
    const moment = new Date(time), isOfNow = moment.getFullYear() === new Date().getFullYear();
    const date = ["Today", "Yesterday"][daysAgo(moment)] || (isOfNow ? day : dayAndYear).format(moment).replace(",", "");
    return `${date} ${clock.format(moment)}`;
  }
  const period = (moment) => (daysAgo(moment) < 7 ? "Last seven days" : month.format(moment));
  const nameOf = (place, path) => path.split("/").pop() || titleOf(place);
  const titleOf = (place) => (places.find((each) => each.name === place) || { title: place }).title;

  // ---- where one is

  const link = (there) => `#${new URLSearchParams(Object.entries(there).filter(([, word]) => word))}`;
  function go(there) { window.location.hash = link({ ...at, ...there }); }
  function wanted() {
    const told = new URLSearchParams(window.location.hash.slice(1));
    const place = told.get("place"), isMine = places.some((each) => each.name === place);
    if (!isMine) return { place: places[0].name, snapshot: "", path: "" };
    return { place, snapshot: told.get("snapshot") || "", path: told.get("path") || "" };
  }

  // of several questions under way only the last one counts
  async function load() {
    const mine = ++turn;
    clearTimeout(again);
    set(byId("folder"), "aria-busy", "true");
    try {
      if (!isKnown) {
        places = (await ask("places")).places;
        isKnown = true;
        watch();
      }
      const there = wanted();
      if (there.place !== at.place) clear();
      const known = there.place === datesOf ? dates : (await ask(`dates?${new URLSearchParams({ place: there.place })}`)).dates;
      if (mine !== turn) return;
      [dates, datesOf] = [known, there.place];
      const date = dates.find((each) => each.snapshot === there.snapshot) || dates[0];
      at = { ...there, snapshot: date ? date.snapshot : "" };
      drawChoice();
      if (date) await look(mine);
    } catch (error) {
      if (mine === turn) fail(error);
      return;
    }
    if (mine === turn) trouble("");
  }

  // nothing of another place stays in view
  function clear() {
    for (const each of ["none", "folder"]) show(byId(each), false);
    show(byId("looking"), true);
    drawn = "";
  }

  async function look(mine) {
    let answer = { entries: [], more: false }, why = "";
    try {
      answer = await ask(`folder?${new URLSearchParams(at)}`);
    } catch (error) {
      if (isAway(error) || error.status === 401) throw error;
      why = error.status === 404 && !at.path ? "There was nothing of this when this copy was made." : error.message;
    }
    const told = JSON.stringify([at, answer, why]);
    if (mine !== turn || told === drawn) return;
    [here, entries, drawn] = [at, answer.entries, told];
    drawFolder(answer.more, why);
  }

  function fail(error) {
    trouble(error.message);
    if (isAway(error)) again = setTimeout(load, AGAIN_MS);
  }

  function trouble(text) {
    write(byId("trouble"), text);
    show(byId("trouble"), Boolean(text));
    show(byId("looking"), false);
    set(byId("folder"), "aria-busy", "false");
  }

  // ---- what is there

  function drawChoice() {
    options(byId("places"), places.map((each) => [each.name, each.title, KINDS[each.name.split("/")[0]] || ""]), at.place);
    options(byId("dates"), dates.map((each) => [each.snapshot, said(each.time), period(new Date(each.time))]), at.snapshot);
    show(byId("choice"), places.length > 1 || dates.length > 0);
    show(byId("when"), dates.length > 0);
    show(byId("none"), dates.length === 0);
    show(byId("folder"), dates.length > 0 && Boolean(drawn));
    lead();
    byId("later").disabled = dates.findIndex(isShown) <= 0;
    byId("earlier").disabled = dates.findIndex(isShown) === dates.length - 1;
  }

  // the date that is chosen holds for everything in view, also while the folder as it was then is still being read
  function lead() {
    for (const made of byId("folder").querySelectorAll("a")) set(made, "href", link({ ...at, path: made.dataset.path }));
  }

  const isShown = (date) => date.snapshot === at.snapshot;

  function options(select, told, chosen) {
    if (select.dataset.told !== JSON.stringify(told)) {
      select.dataset.told = JSON.stringify(told);
      const groups = new Map();
      for (const [value, text, group] of told) {
        if (!groups.has(group)) groups.set(group, []);
        groups.get(group).push(new Option(text, value));
      }
      select.replaceChildren(...[...groups].flatMap(([name, made]) => (name ? [optgroup(name, made)] : made)));
    }
    select.value = chosen;
  }

  function optgroup(name, made) {
    const group = document.createElement("optgroup");
    group.label = name;
    group.append(...made);
    return group;
  }

  function drawFolder(more, why) {
    show(byId("folder"), true);
    const lost = byId("folder").contains(document.activeElement);
    drawCrumbs();
    write(byId("restore-folder"), here.path ? "Restore this folder" : "Restore all of it");
    show(byId("restore-folder"), !why && entries.length > 0);
    byId("find").value = "";
    show(byId("finding"), entries.length > FEW);
    byId("rows").replaceChildren(...entries.map(row));
    lead();
    show(byId("entries"), entries.length > 0);
    write(byId("words"), why || "This folder is empty.");
    show(byId("words"), entries.length === 0);
    write(byId("more"), `There is more here: only ${entries.length.toLocaleString("en")} are shown. Restore the folder to have all of it.`);
    show(byId("more"), more);
    say(why || `${nameOf(here.place, here.path)}: ${entries.length || "nothing"} in it.`);
    if (lost && !byId("folder").contains(document.activeElement)) byId("here").focus();
  }

  function drawCrumbs() {
    const names = here.path ? here.path.split("/") : [];
    byId("crumbs").replaceChildren(...[titleOf(here.place), ...names].map((name, index) => {
      const item = document.createElement("li"), isHere = index === names.length;
      const made = item.appendChild(document.createElement(isHere ? "span" : "a"));
      made.textContent = name;
      if (isHere) Object.assign(made, { id: "here", tabIndex: -1, ariaCurrent: "page" });
      else made.dataset.path = names.slice(0, index).join("/");
      return item;
    }));
  }

  function row(entry) {
    const made = byId("row").content.firstElementChild.cloneNode(true);
    const path = here.path ? `${here.path}/${entry.name}` : entry.name;
    const find = (part) => made.querySelector(`.backups-${part}`);
    const isFolder = entry.type === "folder", icon = { folder: "folder", link: "link" }[entry.type] || "file";
    made.dataset.type = entry.type;
    made.querySelector("use").setAttribute("href", `#icon-${icon}`);
    const name = isFolder && entry.may ? find("name").appendChild(document.createElement("a")) : find("name");
    name.textContent = entry.name;
    if (isFolder && entry.may) name.dataset.path = path;
    find("size").textContent = { folder: "", other: "", link: "link" }[entry.type] ?? size(entry.size);
    find("time").textContent = entry.time ? short.format(new Date(entry.time)).replace(",", "") : "";
    if (entry.may) {
      find("restore").setAttribute("aria-label", `Restore ${entry.name}`);
      find("restore").addEventListener("click", () => restore(path));
    } else {
      find("do").replaceChildren(Object.assign(document.createElement("span"), { className: "backups-closed", textContent: whyNot(entry) }));
    }
    return made;
  }

  function whyNot(entry) {
    if (entry.type === "other") return "Not a file";
    return entry.name.includes("\ufffd") ? "Comes with its folder" : "Not yours to read";
  }

  byId("find").addEventListener("input", () => {
    const sought = byId("find").value.toLowerCase();
    [...byId("rows").children].forEach((made, index) => show(made, entries[index].name.toLowerCase().includes(sought)));
    const none = ![...byId("rows").children].some((made) => !made.hidden);
    write(byId("words"), "Nothing here is called like that.");
    show(byId("words"), none);
    show(byId("entries"), !none);
  });
  byId("places").addEventListener("change", () => go({ place: byId("places").value, snapshot: "", path: "" }));
  byId("dates").addEventListener("change", () => go({ snapshot: byId("dates").value }));
  const step = (by) => go({ snapshot: dates[dates.findIndex(isShown) + by].snapshot });
  byId("earlier").addEventListener("click", () => step(1));
  byId("later").addEventListener("click", () => step(-1));
  byId("restore-folder").addEventListener("click", () => restore(here.path));

  // ---- bringing it back

  const isActive = (each) => each.state === "counting" || each.state === "running";
  const shown = () => restores.find(isActive) || restores.find((each) => each.id === sessionStorage.getItem("restore"));

  async function restore(path) {
    if (asking) return;
    const there = { ...at, path };
    asking = true;
    refuse("");
    try {
      const { id } = await ask("restores", { method: "POST", body: JSON.stringify(there) });
      sessionStorage.setItem("restore", id);
      say(`Restoring ${nameOf(there.place, there.path)}.`);
    } catch (error) {
      refuse(error.message);
    }
    asking = false;
    watch();
  }

  async function stop() {
    byId("stop").disabled = true;
    try {
      await ask(`restores/${encodeURIComponent(shown()?.id)}`, { method: "DELETE" });
    } catch (error) {
      if (error.status !== 404) refuse(error.message);  // else it has ended meanwhile
    }
    byId("stop").disabled = false;
    watch();
  }

  function close() {
    sessionStorage.removeItem("restore");
    refuse("");
    drawRestores();
    byId("here")?.focus();  // what had the focus has gone
  }

  function refuse(text) {
    write(byId("refused"), text);
    drawTray();
  }

  // how it goes is asked while something goes on, and once at each beginning
  async function watch() {
    clearTimeout(watching);
    const mine = ++watched, before = restores.filter(isActive);
    let wait = WATCH_MS;
    try {
      const answer = await ask("restores");
      if (mine !== watched) return;
      const isLost = ({ id }) => !answer.restores.some((each) => each.id === id);
      restores = [...before.filter(isLost).map((each) => ({ ...each, state: "failed", words: RESTARTED })), ...answer.restores];
      before.forEach(ended);
      drawRestores();
      if (wasAway) load();
      wasAway = false;
      if (!restores.some(isActive)) return;
    } catch (error) {
      if (mine !== watched) return;
      trouble(error.message);
      if (!isAway(error)) return;
      [wasAway, wait] = [true, AGAIN_MS];
    }
    if (document.visibilityState === "visible") watching = setTimeout(watch, wait);
  }

  function ended({ id }) {
    const now = restores.find((each) => each.id === id);
    if (!now || isActive(now)) return;
    sessionStorage.setItem("restore", id);
    say(`${heading(now)}. ${result(now)}`);
  }

  function heading(each) {
    const name = nameOf(each.place, each.path);
    return { done: `${name} is restored`, failed: `${name} was not restored`, stopped: `Restoring ${name} was stopped` }[each.state] || `Restoring ${name}`;
  }

  const copyOf = (each) => `copy of ${said(each.time).replace(/^(Today|Yesterday)/, (word) => word.toLowerCase())}`;

  function result(each) {
    if (each.state === "counting") return "Looking how much it is…";
    if (each.state === "running") return `${size(each.bytes)} of ${size(each.of_bytes)}`;
    if (each.state === "stopped") return "Nothing of it was kept.";
    if (each.state === "failed") return each.words;
    const was = (count) => (count === 1 ? "was" : "were"), nothing = !each.files && !each.kept && !each.failed;
    return [
      each.files && `${counted(each.files, "file")} ${each.files === 1 ? "is" : "are"} back, in ${each.folder}.`,
      each.kept && `${counted(each.kept, "file")} ${was(each.kept)} there already and ${was(each.kept)} kept${listed(each.kept_names)}.`,
      each.failed && `${counted(each.failed, "file")} could not be restored${listed(each.failed_names)}.`,
      nothing && "There was no file in it.",
      each.words,
    ].filter(Boolean).join("\n");
  }

  const listed = (names) => (names.length ? `: ${names.slice(0, NAMES).join(", ")}${names.length > NAMES ? " and more" : ""}` : "");

  function drawRestores() {
    const others = restores.filter((each) => each !== shown());
    byId("ended").replaceChildren(...others.map(line));
    show(byId("before"), others.length > 0);
    drawTray();
  }

  function line(each) {
    const made = document.createElement("li"), head = document.createElement("strong"), text = document.createElement("p");
    head.textContent = `${heading(each)}, ${copyOf(each)}`;
    text.textContent = result(each);
    made.append(head, text);
    if (each.folder && each.state === "done") made.append(Object.assign(document.createElement("a"), { href: inLab(each.folder), textContent: "Open the folder" }));
    return made;
  }

  const inLab = (folder) => lab + folder.split("/").map((name) => encodeURIComponent(name.replace(/[\ud800-\udfff]/gu, "\ufffd"))).join("/");

  function drawTray() {
    const now = shown(), active = Boolean(now) && isActive(now), refused = Boolean(byId("refused").textContent);
    show(byId("refused"), refused);
    show(byId("now"), Boolean(now));
    show(byId("tray"), Boolean(now) || refused);
    show(byId("stop"), active);
    show(byId("close"), !active);
    show(byId("open"), Boolean(now) && now.state === "done" && Boolean(now.folder));
    if (now) drawNow(now, active);
  }

  function drawNow(now, active) {
    const percent = now.of_bytes ? Math.min(100, Math.floor((100 * now.bytes) / now.of_bytes)) : 0;
    write(byId("what"), heading(now));
    write(byId("copy"), copyOf(now));
    write(byId("result"), result(now));
    show(byId("progress"), active);
    byId("progress").classList.toggle("backups-counting", now.state === "counting");
    set(byId("progress"), "aria-valuenow", String(percent));
    byId("progress").firstElementChild.style.width = `${percent}%`;
    if (now.folder) set(byId("open"), "href", inLab(now.folder));
  }

  byId("stop").addEventListener("click", stop);
  byId("close").addEventListener("click", close);

  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "visible") return;
    [isKnown, datesOf] = [false, null];
    load();
  });
  window.addEventListener("hashchange", load);
  load();
})();
