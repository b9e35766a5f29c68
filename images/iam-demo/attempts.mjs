/* Guessing passwords is slow: a name's tries are one after the other, each wrong one waits, after many for a minute. */

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 4000;
const MOST = 10;
const PAUSE_MS = 60_000;
const MOST_NAMES = 1000;

export class Attempts {
  #wrong = new Map();

  #last = new Map();

  /** What `work` gives, which begins when earlier tries of the name are over. */
  async inTurn(name, work) {
    const mine = (this.#last.get(name) ?? Promise.resolve()).then(work);
    const over = mine.catch(() => {});
    this.#last.set(name, over);
    over.then(() => { if (this.#last.get(name) === over) this.#last.delete(name); });
    return mine;
  }

  /** Seconds for which no password of this name is looked at; 0 if one may be tried. */
  pause(name) {
    const { until = 0 } = this.#wrong.get(name) ?? {};
    return Math.max(0, Math.ceil((until - performance.now()) / 1000));
  }

  /** Take note of a wrong password. Resolves after the wait for it. */
  async wrong(name) {
    const count = (this.#wrong.get(name)?.count ?? 0) + 1;
    const until = count >= MOST ? performance.now() + PAUSE_MS : 0;
    this.#wrong.delete(name); // so that it becomes the newest
    this.#wrong.set(name, { count, until });
    if (this.#wrong.size > MOST_NAMES) this.#wrong.delete(this.#wrong.keys().next().value);
    const wait_ms = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (count - 1));
    await new Promise((resolve) => { setTimeout(resolve, wait_ms); });
  }

  /** Forget the wrong ones: the right one came. */
  right(name) {
    this.#wrong.delete(name);
  }
}
