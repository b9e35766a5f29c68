// What the scripts of services' pages have in common: writing without flicker, asking, logging in again.
const service = (() => {
  const ANSWER_MS = 30000, RELOAD_MS = 30000, UNITS = ["bytes", "KB", "MB", "GB", "TB"];
  const AWAY = "The hub does not answer at the moment. This page goes on by itself when it is back.";
  const LOGGED_OUT = "You are logged out. Load this page again.";
  const xsrf = document.querySelector("meta[name=xsrf]").content;
  const byId = (id) => document.getElementById(id);

  // nothing is written that is there already: so nothing flickers, and what is selected or focused stays so
  function write(place, text) { if (place.textContent !== text) place.textContent = text; }
  function show(place, is) { if (place.hidden === is) place.hidden = !is; }
  function set(place, name, value) { if (place.getAttribute(name) !== value) place.setAttribute(name, value); }
  function say(text) { write(byId("said"), text); }

  const counted = (count, one) => `${count.toLocaleString("en")} ${count === 1 ? one : one + "s"}`;
  function size(bytes) {
    const unit = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), UNITS.length - 1);
    return unit ? `${+(bytes / 2 ** (10 * unit)).toFixed(1)} ${UNITS[unit]}` : counted(bytes, "byte");
  }

  async function ask(path, options = {}) {
    let answer;
    try {
      answer = await fetch(`api/${path}`, {
        cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS), ...options, headers: { "X-XSRFToken": xsrf },
      });
    } catch (error) {
      throw trouble(0, AWAY);
    }
    if (answer.ok) return answer;
    if (answer.status === 401) reload();
    const told = await answer.json().catch(() => ({}));
    throw trouble(answer.status, answer.status === 401 ? LOGGED_OUT : told.message || AWAY);
  }

  const trouble = (status, text) => Object.assign(new Error(text), { status });

  // a new page brings a new login; not again and again where that is no help
  function reload() {
    const last = Number(sessionStorage.getItem("reload"));
    if (Date.now() - last < RELOAD_MS) return;
    sessionStorage.setItem("reload", Date.now());
    window.location.reload();
  }

  return { byId, write, show, set, say, counted, size, ask };
})();
