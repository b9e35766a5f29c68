/* The login page: a form, a password that is checked, and an answer to oidc-provider. Nothing typed is ever logged. */

import { HEADERS, loginPage, page } from './pages.mjs';
import { matches, readPeople } from './people.mjs';
import { unsigned } from './provider.mjs';

const LONGEST_FORM = 8192;
const EXPIRED = 'This login took too long, or was finished already. Go back to the hub and log in again.';

/** Write a page of ours. */
export function send(res, status, text, headers = {}) {
  res.writeHead(status, { ...HEADERS, 'Content-Type': 'text/html; charset=utf-8', ...headers });
  res.end(text);
}

/** What answers a request for the login page. */
export function loginHandler({ config, provider, switches, attempts, log }) {
  return async (req, res) => {
    const details = await provider.interactionDetails(req, res).catch(() => null);
    if (!details || !req.url.endsWith(`/${details.uid}`)) return send(res, 400, page('Log in again', EXPIRED));
    const people = readPeople(config.people);
    const action = `${config.prefix}${req.url}`;
    const form = (status, more = {}) => send(res, status, loginPage({ action, people: [...people.values()], ...more }));
    if (req.method !== 'POST') return form(200);

    const fields = await readForm(req);
    if (!fields) return send(res, 413, page('Too long', 'What was typed is too long for a name and a password.'));
    const { person, problem, status } = await attempts.inTurn(fields.username, () => (
      check(fields, people, attempts, switches)));
    log(`login ${person?.username ?? 'refused'}`);
    // A name that nobody has may be a password in the wrong field.
    if (problem) return form(status, { username: people.has(fields.username) ? fields.username : '', problem });
    return finish(req, res, { provider, details, person, isUnsigned: switches.now().aup.includes(person.username) });
  };
}

async function check({ username, password }, people, attempts, switches) {
  const pause_s = attempts.pause(username);
  if (pause_s) return { status: 429, problem: `There were many wrong passwords. Try again in ${pause_s} s.` };
  const someone = people.get(username);
  if (!await matches(someone, password)) {
    await attempts.wrong(username);
    return { status: 401, problem: 'That is not the right name and password. Please try again.' };
  }
  attempts.right(username);
  if (switches.now().disabled.includes(username)) return { status: 403, problem: 'This account is disabled.' };
  return { person: someone };
}

async function finish(req, res, { provider, details, person, isUnsigned }) {
  if (isUnsigned) {
    return provider.interactionFinished(req, res, { error: 'access_denied', error_description: unsigned(person) });
  }
  const { client_id: clientId, scope } = details.params;
  const grant = new provider.Grant({ accountId: person.sub, clientId }); // our own client: nobody is asked for consent
  if (scope) grant.addOIDCScope(scope);
  const grantId = await grant.save();
  return provider.interactionFinished(req, res, { login: { accountId: person.sub }, consent: { grantId } });
}

async function readForm(req) {
  let body = '';
  for await (const part of req) {
    body += part;
    if (body.length > LONGEST_FORM) return null;
  }
  const fields = new URLSearchParams(body);
  return { username: (fields.get('username') ?? '').trim(), password: fields.get('password') ?? '' };
}
