/* What the service is told: a JSON file, then environment variables, which win.

   `node server.mjs CONFIG.json`, or without an argument /etc/iam-demo/config.json if there is one. Keys and variables:

   issuer              MLINFN_DEMO_ISSUER               http://localhost:8000/demo-iam, as browsers and the hub see it
   port                MLINFN_DEMO_PORT                 where it listens, on 127.0.0.1
   people              MLINFN_DEMO_PEOPLE               people.json (people.mjs shows it); read again at each request
   state               MLINFN_DEMO_STATE                file for keys and tokens, made in a folder of its uid
   client_id           MLINFN_DEMO_CLIENT_ID            default `mlinfn`
   client_secret_file  MLINFN_DEMO_CLIENT_SECRET_FILE   read again at each request
   redirect_uris       MLINFN_DEMO_REDIRECT_URIS        a list; separated by spaces in the variable
   flavour             MLINFN_DEMO_FLAVOUR              `iam` (default) or `wlcg`: which JWT profile of INDIGO IAM
   access_s            MLINFN_DEMO_ACCESS_S             life of access tokens, default 3600
   id_s                MLINFN_DEMO_ID_S                 life of id tokens, default 600
   refresh_s           MLINFN_DEMO_REFRESH_S            life of refresh tokens, default 2592000
   configured_issuer   MLINFN_DEMO_CONFIGURED_ISSUER    the site's own IAM; the service refuses to start beside one
   switches            -                                faults for tests (switches.mjs); only in the file

   The image sets the three paths: people.json and demo_client_secret in /run/secrets, state.json in /var/lib/iam-demo.
*/

import { existsSync, readFileSync } from 'node:fs';

const USUAL_FILE = '/etc/iam-demo/config.json';
const DEFAULTS = {
  client_id: 'mlinfn', flavour: 'iam', access_s: 3600, id_s: 600, refresh_s: 30 * 24 * 3600, configured_issuer: '',
};
const NEEDED = ['issuer', 'port', 'people', 'state', 'client_secret_file', 'redirect_uris'];
const VARIABLES = [...NEEDED, 'client_id', 'flavour', 'access_s', 'id_s', 'refresh_s', 'configured_issuer'];
const NUMBERS = ['port', 'access_s', 'id_s', 'refresh_s'];

/** What keeps the service from starting, in one sentence for the keeper. */
export class Refusal extends Error {}

/** The checked configuration. Throws Refusal. */
export function load(path, environ) {
  const config = { ...DEFAULTS, ...fromFile(path), ...fromEnvironment(environ) };
  checkAlone(config);
  checkValues(config);
  config.url = new URL(config.issuer);
  config.prefix = config.url.pathname;
  return config;
}

/** Whether a host name can only mean the machine itself. */
export function isLoopback(hostname) {
  return hostname === 'localhost' || hostname.endsWith('.localhost') || hostname === '127.0.0.1';
}

/** Content of the file with the client's secret. */
export function clientSecret(config) {
  return readFileSync(config.client_secret_file, 'utf8').trim();
}

function fromFile(path) {
  const file = path ?? (existsSync(USUAL_FILE) ? USUAL_FILE : null);
  if (file === null) return {};
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new Refusal(`The configuration ${file} cannot be used (${error.code ?? 'it is not JSON'}).`);
  }
}

function fromEnvironment(environ) {
  const found = {};
  for (const key of VARIABLES) {
    const value = environ[`MLINFN_DEMO_${key.toUpperCase()}`];
    if (value === undefined || value === '') continue;
    found[key] = key === 'redirect_uris' ? value.split(/\s+/).filter(Boolean) : value;
  }
  return found;
}

function checkAlone(config) {
  if (config.configured_issuer) {
    throw new Refusal(`An identity service is configured (${config.configured_issuer}), so the demo one does not start `
      + 'beside it: anybody with its printed passwords could enter. Write `login: iam` in mlinfn.yaml.');
  }
}

function checkValues(config) {
  const missing = NEEDED.filter((key) => !config[key] || config[key].length === 0);
  if (missing.length) {
    throw new Refusal(`The demo identity service was not told ${missing.join(', ')}; \`mlinfn up\` sets them.`);
  }
  for (const key of NUMBERS) {
    config[key] = Number(config[key]);
    if (!Number.isInteger(config[key]) || config[key] < 1) {
      throw new Refusal(`${key} has to be a whole number above 0.`);
    }
  }
  if (!['iam', 'wlcg'].includes(config.flavour)) throw new Refusal('flavour has to be `iam` or `wlcg`.');
  checkIssuer(config.issuer);
}

function checkIssuer(issuer) {
  const url = URL.canParse(issuer) ? new URL(issuer) : null;
  if (!url || !/^https?:$/.test(url.protocol) || !/^\/[\w-]+$/.test(url.pathname) || url.search || url.hash) {
    throw new Refusal(`issuer is ${issuer}; it has to look like http://localhost:8000/demo-iam.`);
  }
  if (!isLoopback(url.hostname)) {
    throw new Refusal(`The demo identity service is for one's own machine: its issuer is ${issuer}, and only `
      + 'localhost, names under it and 127.0.0.1 are allowed. Use `login: iam` or `login: local` on a public name.');
  }
}
