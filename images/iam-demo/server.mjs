/* A demo identity service for one machine: OpenID Connect as INDIGO IAM speaks it. config.mjs says how to start it. */

import { createServer } from 'node:http';

import { clientSecret, load, Refusal } from './config.mjs';
import { readPeople } from './people.mjs';
import { State } from './state.mjs';

async function main() {
  const config = load(process.argv[2], process.env);
  checkFiles(config);
  const state = new State(config.state);
  const { makeHandler } = await import('./handler.mjs'); // large, and not needed to refuse
  const log = (text) => console.log(`${new Date().toISOString()} ${text}`);
  const server = createServer(makeHandler(config, state, log));
  server.on('error', (error) => stop(`Port ${config.port} cannot be used (${error.code}).`));
  server.listen(config.port, '127.0.0.1', () => log(`${config.issuer} is answered on port ${config.port}`));
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
}

/** Complain before the first request of what would break at it. */
function checkFiles(config) {
  const files = { people: readPeople, client_secret_file: () => clientSecret(config) };
  for (const [key, read] of Object.entries(files)) {
    try {
      const content = read(config[key]);
      if (content.length === 0 || content.size === 0) throw new Error('it is empty');
    } catch (error) {
      const reason = error.code ?? (error instanceof SyntaxError ? 'it is not JSON' : error.message);
      throw new Refusal(`${key} ${config[key]} cannot be used by uid ${process.getuid()} (${reason}). `
        + '`mlinfn up` makes it.');
    }
  }
}

function stop(sentence) {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
}

main().catch((error) => {
  if (!(error instanceof Refusal)) throw error;
  stop(error.message);
});
