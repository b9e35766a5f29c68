/* Keys and tokens in one file, so that a restart ends nobody's session.

   A change that a client could notice is on disk before its answer goes out: a rotated refresh token that was lost
   would log its owner out. Changes that come while a write is under way share the next one. Logins that have just
   begun stay in memory: after a restart they are begun again. */

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

import { Refusal } from './config.mjs';

const IN_MEMORY = new Set(['Interaction', 'Session']);
const MOST_IN_MEMORY = 2000;
const USED_TOKENS_S = 24 * 3600; // how long a used one is remembered, to notice that it was stolen
const PAUSE_MS = 10;

const now = () => Math.floor(Date.now() / 1000);

export class State {
  #path;

  #entries = new Map();

  #passing = new Map();

  #running = Promise.resolve();

  #next;

  constructor(path) {
    this.#path = path;
    this.#read();
    this.#check();
  }

  /** The entries for that kind of thing, those of a login under way or those that last. */
  of(model) {
    return IN_MEMORY.has(model) ? this.#passing : this.#entries;
  }

  /** Resolves once everything that was changed before the call is on disk. */
  save() {
    this.#next ??= this.#running.catch(() => {}).then(() => {
      this.#next = undefined;
      this.#running = this.#write();
      return this.#running;
    });
    return this.#next;
  }

  /** Forget the oldest logins under way when there are too many: anybody can begin one. */
  bound() {
    while (this.#passing.size > MOST_IN_MEMORY) this.#passing.delete(this.#passing.keys().next().value);
  }

  #read() {
    const stored = existsSync(this.#path) ? parsed(this.#path) : {};
    this.jwks = stored.jwks ?? { keys: [newKey()] };
    this.cookieKeys = stored.cookieKeys ?? [randomBytes(32).toString('hex')];
    this.#entries = new Map(Object.entries(stored.entries ?? {}));
  }

  #check() {
    try {
      writeFileSync(`${this.#path}.new`, this.#text(), { mode: 0o600 });
      renameSync(`${this.#path}.new`, this.#path);
    } catch (error) {
      throw new Refusal(`The state ${this.#path} cannot be written (${error.code}); its folder has to belong to uid `
        + `${process.getuid()}.`);
    }
  }

  async #write() {
    await sleep(PAUSE_MS); // what comes in this time is in the same write
    const partial = `${this.#path}.new`;
    await writeFile(partial, this.#text(), { mode: 0o600 });
    await rename(partial, this.#path);
  }

  #text() {
    for (const entries of [this.#entries, this.#passing]) {
      for (const [key, { expires }] of entries) if (expires <= now()) entries.delete(key);
    }
    const entries = Object.fromEntries(this.#entries);
    return JSON.stringify({ jwks: this.jwks, cookieKeys: this.cookieKeys, entries });
  }
}

function parsed(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new Refusal(`The state ${path} cannot be read (${error.code ?? 'it is not JSON'}). `
      + 'Remove it: everybody has to log in again, nothing else is lost.');
  }
}

function newKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: 'demo-rsa1', alg: 'RS256', use: 'sig' };
}

/** The class through which oidc-provider keeps things in `state`; `client` gives the one client as it is now. */
export function adapterFor(state, client) {
  return class Adapter {
    constructor(model) {
      this.model = model;
      this.lasts = !IN_MEMORY.has(model);
      this.entries = state.of(model);
    }

    async find(id) {
      if (this.model === 'Client') return client(id);
      return this.entries.get(this.#key(id))?.payload;
    }

    async findByUid(uid) {
      const mine = [...this.entries.values()].filter(({ model }) => model === this.model);
      return mine.find(({ payload }) => payload.uid === uid)?.payload;
    }

    async upsert(id, payload, expiresIn) {
      const expires = expiresIn ? now() + expiresIn : Number.MAX_SAFE_INTEGER;
      this.entries.set(this.#key(id), { model: this.model, payload, expires });
      await this.#changed();
    }

    async consume(id) {
      const entry = this.entries.get(this.#key(id));
      entry.payload.consumed = now();
      entry.expires = Math.min(entry.expires, now() + USED_TOKENS_S);
      await this.#changed();
    }

    async destroy(id) {
      this.entries.delete(this.#key(id));
      await this.#changed();
    }

    async revokeByGrantId(grantId) {
      for (const [key, { model, payload }] of this.entries) {
        if (model === this.model && payload.grantId === grantId) this.entries.delete(key);
      }
      await this.#changed();
    }

    #key(id) {
      return `${this.model}:${id}`;
    }

    async #changed() {
      if (this.lasts) await state.save();
      else state.bound();
    }
  };
}
