/* The pages: a frame that says "Demo", a login form, and sentences. Everything that is put in is escaped. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

const STYLE = readFileSync(new URL('style.css', import.meta.url), 'utf8');
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64');
// A form's answer redirects to the hub and from there to a lab, on other ports and names of this machine.
const MACHINE = ['localhost', '*.localhost', '127.0.0.1'].flatMap((host) => [`http://${host}:*`, `https://${host}:*`]);

export const HEADERS = {
  'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; `
    + `form-action 'self' ${MACHINE.join(' ')}; base-uri 'none'; frame-ancestors 'none'`,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-store',
};

class Safe {
  constructor(text) { this.text = text; }

  toString() { return this.text; }
}

const ESCAPES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function escape(value) {
  if (value instanceof Safe) return value.text;
  if (Array.isArray(value)) return value.map(escape).join('');
  return String(value ?? '').replace(/[&<>"']/g, (character) => ESCAPES[character]);
}

function html(strings, ...values) {
  return new Safe(String.raw({ raw: strings }, ...values.map(escape)));
}

function frame(title, content) {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<title>${title} · Demo identity service</title>
<style>${new Safe(STYLE)}</style>
</head>
<body>
<header><span class="badge">Demo</span> <span class="service">Identity service for trying out</span></header>
<main>
${content}
</main>
<footer>This is not your institute's login. It runs on this machine only; never type a real password here.</footer>
</body>
</html>
`.text;
}

/** A page with one sentence. */
export function page(title, sentence) {
  return frame(title, html`<section><h1>${title}</h1><p>${sentence}</p></section>`);
}

/** The login page. `people` are shown as a hint, `username` is filled in, `problem` says what was wrong. */
export function loginPage({ action, people, username = '', problem = '' }) {
  const alert = problem ? html`<p class="alert" id="problem" role="alert">${problem}</p>` : '';
  const described = problem ? html`aria-describedby="problem" aria-invalid="true"` : '';
  const [nameFocus, passwordFocus] = username ? ['', 'autofocus'] : ['autofocus', ''];
  return frame('Sign in', html`<section>
<h1>Sign in</h1>
${alert}
<form method="post" action="${action}">
<label for="username">User name</label>
<input id="username" name="username" value="${username}" maxlength="200" required ${nameFocus} ${described}
  autocomplete="username" autocapitalize="none" spellcheck="false">
<label for="password">Password</label>
<input id="password" name="password" type="password" maxlength="1000" required ${passwordFocus} ${described}
  autocomplete="current-password">
<button type="submit">Sign in</button>
</form>
${hint(people)}
</section>`);
}

function hint(people) {
  const rows = people.map(({ username, groups }) => html`<tr>
<th scope="row">${username}</th><td>${groups.join(', ') || 'no group'}</td></tr>`);
  return html`<details>
<summary>Who is there?</summary>
<p>Their passwords were shown once. <code>mlinfn demo passwords --renew</code> makes new ones.</p>
<table><thead><tr><th scope="col">User name</th><th scope="col">Groups</th></tr></thead><tbody>${rows}</tbody></table>
</details>`;
}
