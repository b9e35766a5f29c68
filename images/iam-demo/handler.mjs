/* What answers requests: health, the login page, and oidc-provider for the rest. */

import { Attempts } from './attempts.mjs';
import { isLoopback } from './config.mjs';
import { loginHandler, send } from './login.mjs';
import { page } from './pages.mjs';
import { makeProvider, ROUTES } from './provider.mjs';
import { Switches } from './switches.mjs';

const ENDPOINTS = new Map([
  ...Object.entries(ROUTES).map(([name, path]) => [path, name === 'authorization' ? 'authorize' : name]),
  ['/.well-known/openid-configuration', 'discovery'],
  ['/health', 'health'],
]);

/** The function for node:http. It never fails: what goes wrong is logged, without what was asked. */
export function makeHandler(config, state, log) {
  const answer = makeAnswer(config, state, log);
  return (req, res) => answer(req, res).catch((error) => {
    log(`error ${error.name} ${error.stack?.split('\n')[1]?.trim() ?? ''}`);
    if (res.headersSent) res.destroy();
    else send(res, 500, page('Something broke', 'The demo identity service has a fault; its log says where.'));
  });
}

function makeAnswer(config, state, log) {
  const switches = new Switches(config.switches);
  const provider = makeProvider(config, state, switches, log);
  const handlers = {
    health: (req, res) => send(res, 200, 'ok\n', { 'Content-Type': 'text/plain' }),
    login: loginHandler({ config, provider, switches, attempts: new Attempts(), log }),
    elsewhere: nothingHere,
  };
  const others = provider.callback();

  return async (req, res) => {
    if (!enter(req, config)) return nothingHere(req, res);
    const endpoint = endpointOf(req.url.split('?')[0]);
    if (endpoint === 'health') return handlers.health(req, res);
    logWhenDone(req, res, endpoint, log);
    if (await switches.intercept(endpoint, res)) return undefined;
    return (handlers[endpoint] ?? others)(req, res);
  };
}

/** The name of an endpoint, which is all that the log says of an address. */
function endpointOf(path) {
  if (path.startsWith('/login/')) return 'login';
  if (path.startsWith(`${ROUTES.authorization}/`)) return 'authorize';
  return ENDPOINTS.get(path) ?? 'elsewhere';
}

/** Take the prefix off an address, and let the issuer, not the asker, say where we are. False if it is not for us. */
function enter(req, { prefix, url }) {
  const address = `http://${req.headers.host}`;
  if (!URL.canParse(address) || !isLoopback(new URL(address).hostname)) return false;
  if (!req.url.startsWith(`${prefix}/`)) return false;
  req.baseUrl = prefix;
  req.url = req.url.slice(prefix.length);
  req.headers.host = url.host;
  delete req.headers['x-forwarded-host'];
  req.headers['x-forwarded-proto'] = url.protocol.slice(0, -1);
  return true;
}

function logWhenDone(req, res, endpoint, log) {
  const began = performance.now();
  res.on('close', () => log(`${req.method} ${endpoint} ${res.statusCode} ${Math.round(performance.now() - began)} ms`));
}

function nothingHere(req, res) {
  send(res, 404, page('Nothing here', 'There is no such page.'));
}
