/* Who exists, in people.json:

   {"demo-member": {"hash": "scrypt$<N>$<r>$<p>$<salt hex>$<key hex>", "sub": "<uuid>", "name": "Demo Member",
                    "email": "demo-member@example.org", "groups": ["demo", "demo/keepers"]}}
*/

import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';

const derive = promisify(scrypt);
const COST = { N: 16384, r: 8, p: 1 };
const MOST_MEMORY = 256 * 1024 * 1024;

/** Everybody by name, as the file is now. Throws Error if it is not such a file. */
export function readPeople(path) {
  const people = JSON.parse(readFileSync(path, 'utf8'));
  return new Map(Object.entries(people).map(([username, entry]) => [username, person(username, entry)]));
}

function person(username, { hash, sub, name, email, groups }) {
  if (typeof hash !== 'string' || typeof sub !== 'string' || !Array.isArray(groups)) {
    throw new Error(`people.json: ${username} needs a hash, a sub and groups.`);
  }
  return { username, hash, sub, name, email, groups };
}

/** The person with that `sub`, or undefined. */
export function withSubject(people, sub) {
  return [...people.values()].find((one) => one.sub === sub);
}

/** Whether it is the person's password. Takes as long for nobody (undefined) as for somebody, and answers false. */
export async function matches(someone, password) {
  const stored = someone?.hash || nobodysHash; // who has no password yet has an empty one
  const [kind, N, r, p, salt, key] = stored.split('$');
  if (kind !== 'scrypt') return false;
  const expected = Buffer.from(key, 'hex');
  const cost = { N: Number(N), r: Number(r), p: Number(p), maxmem: MOST_MEMORY };
  const actual = await derive(password, Buffer.from(salt, 'hex'), expected.length, cost);
  return timingSafeEqual(actual, expected) && stored === someone?.hash;
}

const random = (bytes) => randomBytes(bytes).toString('hex');
const nobodysHash = ['scrypt', COST.N, COST.r, COST.p, random(16), random(32)].join('$');
