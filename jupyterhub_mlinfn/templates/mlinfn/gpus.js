// Keeps the state of the GPUs fresh while somebody looks at the form. Without it, the state is that of the page's time.
// What looks fresh is at most 2 s old: an answer may be half a second old when it is asked for (gpus/glance.py), the
// next one is asked for 1.2 s later, and if that has not come after another 0.3 s, what is shown turns grey.
(() => {
  const EVERY_MS = 1200, FRESH_MS = 1500, SOONEST_MS = 200, SLOWEST_MS = 30000, QUIET_MS = 10000;
  const UNKNOWN = "How the GPUs stand is not known at the moment.";
  const rows = [...document.querySelectorAll(".gpu-row[data-gpu]:not([data-gpu=''])")];
  const speaker = document.getElementById("gpus-said");
  let pause = EVERY_MS, timer = null, aging = null, spoken = null, spokenAt = 0;

  // the same words as gpus/state.py
  function said(each) {
    const places = each.kind === "shared" ? " places" : "";
    const now = `${each.free || "none"} of ${each.slots}${places} free`;
    return each.waiting ? `${now}, ${each.waiting} waiting` : now;
  }

  function write(place, text) { if (place.textContent !== text) place.textContent = text; }

  function show(classes) {
    const known = new Map(classes.map((each) => [each.slug, each]));
    for (const row of rows) {
      const each = known.get(row.dataset.gpu);
      write(row.querySelector(".gpu-state"), each ? said(each) : "not there at present");
      row.classList.toggle("gpu-gone", !each);
      row.classList.toggle("gpu-busy", !each || !each.free);
      row.classList.remove("gpu-old");
    }
    trouble("");
    speak();
  }

  function trouble(text) {
    for (const place of document.querySelectorAll(".gpu-trouble")) {
      write(place, text);
      place.hidden = !text;
    }
    if (text) turnGrey();
  }

  function turnGrey() { rows.forEach((row) => row.classList.add("gpu-old")); }

  // `asked` is when what is shown now was asked for, in milliseconds since the page was
  function isFreshSince(asked) {
    clearTimeout(aging);
    aging = setTimeout(turnGrey, Math.max(0, asked + FRESH_MS - performance.now()));
  }

  // a screen reader hears of the chosen class alone, when it has changed, and not all the time
  function speak() {
    const chosen = document.querySelector(".picker-radio:checked ~ .picker-options .gpu-row:has(input:checked)");
    const state = chosen && chosen.querySelector(".gpu-state");
    const text = state ? `${chosen.querySelector(".gpu-title").textContent}: ${state.textContent}` : "";
    if (spoken === null || text.split(":")[0] !== spoken.split(":")[0]) { spoken = text; return; }
    if (text !== spoken && Date.now() - spokenAt > QUIET_MS) {
      spoken = text;
      spokenAt = Date.now();
      write(speaker, text);
    }
  }

  async function look() {
    const { base_url, xsrf_token } = window.jhdata, asked = performance.now();
    const answer = await fetch(`${base_url}api/mlinfn/gpus`, {
      headers: { "X-XSRFToken": xsrf_token, Accept: "application/json" }, cache: "no-store",
      signal: AbortSignal.timeout(10000),
    });
    if (answer.ok) {
      show((await answer.json()).classes);
      return isFreshSince(asked);
    }
    if (answer.status === 403) throw new Error("You are logged out. Load this page again.");
    throw new Error(((await answer.json().catch(() => ({}))).message) || UNKNOWN);
  }

  async function turn() {
    timer = null;
    const began = performance.now();
    let soon = 0;
    try {
      await look();
      pause = EVERY_MS;
      soon = performance.now() - began;
    } catch (error) {
      trouble(error instanceof TypeError || error.name === "TimeoutError" ? UNKNOWN : error.message);
      pause = Math.min(pause * 2, SLOWEST_MS);
    }
    if (timer === null && document.visibilityState === "visible") timer = setTimeout(turn, Math.max(pause - soon, SOONEST_MS));
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    timer = null;
    if (document.visibilityState === "visible") turn();
  });
  isFreshSince(0);
  timer = setTimeout(turn, Math.max(EVERY_MS - performance.now(), SOONEST_MS));
})();
