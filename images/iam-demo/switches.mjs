/* Faults that tests ask for; the service itself has none of them. The file is read again at each request:

   {"outage": "refuse" | "503" | "429" | "html" | "hang" | null,   for these endpoints, or for all:
    "only": ["discovery", "authorize", "login", "token", "userinfo", "jwks"] | null,
    "delay_ms": 0, "drift_s": 0,                                   slow answers; a clock that is wrong
    "rotate": false,                                               a new refresh token at each refresh
    "aup": ["demo-member"], "disabled": [],                        who has not signed the policy; who may no longer
    "issued": "/path"}                                             gets a line for every token and code handed out
*/

import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const NONE = { outage: null, only: null, delay_ms: 0, drift_s: 0, rotate: false, aup: [], disabled: [], issued: null };
const PAGE = '<!doctype html><html lang="en"><title>Maintenance</title><h1>We are back soon</h1></html>';

const OUTAGES = {
  refuse: (res) => res.socket.destroy(),
  hang: () => {},
  503: (res) => answer(res, 503, 'text/plain', 'Service unavailable', { 'Retry-After': '1' }),
  429: (res) => answer(res, 429, 'text/plain', 'Too many requests', { 'Retry-After': '1' }),
  html: (res) => answer(res, 200, 'text/html', PAGE),
};

function answer(res, status, type, text, headers = {}) {
  res.writeHead(status, { 'Content-Type': `${type}; charset=utf-8`, 'Content-Length': text.length, ...headers });
  res.end(text);
}

export class Switches {
  #path;

  #drift_s = 0;

  constructor(path) {
    this.#path = path;
    if (path) this.#let_clock_drift();
  }

  /** The switches as they are now. */
  now() {
    return this.#path && existsSync(this.#path) ? { ...NONE, ...JSON.parse(readFileSync(this.#path, 'utf8')) } : NONE;
  }

  /** True if the fault that is switched on has dealt with the request, perhaps by silence. */
  async intercept(endpoint, res) {
    const { outage, only, delay_ms, drift_s } = this.now();
    this.#drift_s = drift_s;
    if (drift_s) res.setHeader('Date', new Date(Date.now()).toUTCString());
    if (only && !only.includes(endpoint)) return false;
    if (delay_ms) await sleep(delay_ms);
    if (outage) OUTAGES[outage](res);
    return Boolean(outage);
  }

  /** Take note of what has been handed out, if a test wants to know. */
  issue(...secrets) {
    const { issued } = this.now();
    const known = secrets.filter(Boolean);
    if (issued && known.length) appendFileSync(issued, `${known.join('\n')}\n`, { mode: 0o600 });
  }

  // oidc-provider has no seam for the clock, and every part of it asks Date.now().
  #let_clock_drift() {
    const right = Date.now;
    Date.now = () => right() + this.#drift_s * 1000;
  }
}
