/* A demo identity service for one machine: OpenID Connect as INDIGO IAM speaks it. config.mjs says how to start it. */

import { createServer } from 'node:http';

import { Attempts } from './attempts.mjs';
import { clientSecret, isLoopback, load, Refusal } from './config.mjs';
import { loginHandler, send } from './login.mjs';
import { page } from './pages.mjs';
import { readPeople } from './people.mjs';
import { makeProvider, ROUTES } from './provider.mjs';
import { State } from './state.mjs';
import { Switches } from './switches.mjs';

const ENDPOINTS = new Map([
  ...Object.entries(ROUTES).map(([name, path]) => [path, name === 'authorization' ? 'authorize' : name]),
  ['/.well-known/openid-configuration', 'discovery'],
  ['/health', 'health'],
]);

/** The name of an endpoint, which is all that the log says of an address. */
function endpointOf(path) {
  if (path.startsWith('/login/')) return 'login';
  if (path.startsWith(`${ROUTES.authorization}/`)) return 'authorize';
  return ENDPOINTS.get(path) ?? 'elsewhere';
}

/** What answers every request. */
function makeHandler(config, log) {
  const switches = new Switches(config.switches);
  const state = new State(config.state);
  const provider = makeProvider(config, state, switches, log);
  const handlers = {
    health: (req, res) => send(res, 200, 'ok\n', { 'Content-Type': 'text/plain' }),
    login: loginHandler({ config, provider, switches, attempts: new Attempts(), log }),
    elsewhere: (req, res) => send(res, 404, page('Nothing here', 'There is no such page.')),
  };
  const others = provider.callback();

  return async (req, res) => {
    if (!enter(req, config)) return send(res, 404, page('Nothing here', 'There is no such page.'));
    const endpoint = endpointOf(req.url.split('?')[0]);
    const began = performance.now();
    res.on('close', () => {
      if (endpoint !== 'health') log(`${req.method} ${endpoint} ${res.statusCode} ${Math.round(performance.now() - began)} ms`);
    });
    if (endpoint !== 'health' && await switches.intercept(endpoint, res)) return undefined;
    return (handlers[endpoint] ?? others)(req, res);
  };
}

/** Take the prefix off an address, and let the issuer, not the asker, say where we are. False if it is not for us. */
function enter(req, { prefix, url }) {
  const { hostname } = URL.parse(`http://${req.headers.host}`) ?? {};
  if (!hostname || !isLoopback(hostname) || !req.url.startsWith(`${prefix}/`)) return false;
  req.baseUrl = prefix;
  req.url = req.url.slice(prefix.length);
  req.headers.host = url.host;
  delete req.headers['x-forwarded-host'];
  req.headers['x-forwarded-proto'] = url.protocol.slice(0, -1);
  return true;
}

/** Complain before the first request of what would break at it. */
function checkFiles(config) {
  const files = { people: () => readPeople(config.people), client_secret_file: () => clientSecret(config) };
  for (const [key, read] of Object.entries(files)) {
    try {
      if (read().length === 0) throw new Error('it is empty');
    } catch (error) {
      throw new Refusal(`${key} ${config[key]} cannot be used by uid ${process.getuid()} (${error.code ?? error.name}); `
        + '`mlinfn up` makes it.');
    }
  }
}

function main() {
  const log = (text) => console.log(`${new Date().toISOString()} ${text}`);
  const config = load(process.argv[2], process.env);
  checkFiles(config);
  const handle = makeHandler(config, log);
  const server = createServer((req, res) => handle(req, res).catch((error) => {
    log(`error ${error.name} ${error.stack?.split('\n')[1]?.trim() ?? ''}`);
    if (res.headersSent) res.destroy();
    else send(res, 500, page('Something broke', 'The demo identity service has a fault; its log says where.'));
  }));
  server.on('error', (error) => stop(`Port ${config.port} cannot be used (${error.code}).`));
  server.listen(config.port, '127.0.0.1', () => log(`demo identity service for ${config.issuer} on port ${config.port}`));
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
}

function stop(sentence) {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
}

try {
  main();
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  stop(error.message);
}
