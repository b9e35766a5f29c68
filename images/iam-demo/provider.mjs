/* npm's oidc-provider, dressed as INDIGO IAM 1.12. */

import { createHash, createPrivateKey, createPublicKey } from 'node:crypto';

import { decodeJwt, SignJWT, jwtVerify } from 'jose';
import Provider, { errors } from 'oidc-provider';

import { accessToken, claimsOf, claimsOfScopes } from './claims.mjs';
import { clientSecret } from './config.mjs';
import { HEADERS, page } from './pages.mjs';
import { readPeople, withSubject } from './people.mjs';
import { adapterFor } from './state.mjs';

const LOGIN_S = 600;
const CODE_S = 60;

/** The endpoints of IAM by their names in oidc-provider. */
export const ROUTES = {
  authorization: '/authorize', token: '/token', userinfo: '/userinfo', jwks: '/jwk', introspection: '/introspect',
  revocation: '/revoke',
};

/** The sentence with which IAM refuses somebody who has not signed the acceptable use policy. */
export function unsigned(person) {
  return `User ${person.username} needs to sign AUP for this organization in order to proceed.`;
}

/** The provider, a Koa application whose callback serves everything under the issuer but the login page. */
export function makeProvider(config, state, switches, log) {
  const adapter = adapterFor(state, (id) => (id === config.client_id ? client(config) : undefined));
  const provider = new Provider(config.issuer, { ...options(config, switches), ...keys(state), adapter });
  provider.proxy = true; // server.mjs sets the headers that say where we are
  provider.on('server_error', (ctx, error) => log(`error ${error.name} ${error.stack?.split('\n')[1]?.trim() ?? ''}`));
  provider.on('authorization_code.saved', (code) => switches.issue(code.jti));
  issueJwts(provider, config, state);
  provider.use(likeIam(config));
  provider.use(writeDown(switches));
  return provider;
}

function client(config) {
  return {
    client_id: config.client_id, client_secret: clientSecret(config), redirect_uris: config.redirect_uris,
    grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], client_name: 'ML-INFN',
    token_endpoint_auth_method: 'client_secret_basic',
  };
}

function keys(state) {
  return { jwks: state.jwks, cookies: { keys: state.cookieKeys, names: cookieNames() } };
}

function cookieNames() {
  return { session: '_demo_session', interaction: '_demo_login', resume: '_demo_resume' };
}

function options(config, switches) {
  const [on, off] = [{ enabled: true }, { enabled: false }];
  return {
    claims: claimsOfScopes(config.flavour),
    scopes: ['openid', 'profile', 'email', 'offline_access', ...(config.flavour === 'wlcg' ? ['wlcg.groups'] : [])],
    responseTypes: ['code'],
    routes: ROUTES,
    pkce: { required: () => false },
    clockTolerance: 0,
    expiresWithSession: () => false,
    rotateRefreshToken: () => switches.now().rotate,
    issueRefreshToken: (ctx, one, code) => code.scopes.has('offline_access'),
    findAccount: (ctx, sub) => findAccount(config, switches, ctx, sub),
    interactions: { url: (ctx, { uid }) => `${config.prefix}/login/${uid}` },
    renderError: (ctx, { error, error_description: text }) => {
      ctx.set(HEADERS);
      ctx.type = 'html';
      ctx.body = page('Not possible', sentences(error, text));
    },
    ttl: {
      AccessToken: config.access_s, AuthorizationCode: CODE_S, Grant: config.refresh_s, IdToken: config.id_s,
      Interaction: LOGIN_S, RefreshToken: config.refresh_s, Session: LOGIN_S,
    },
    features: {
      devInteractions: off, rpInitiatedLogout: off, pushedAuthorizationRequests: off, resourceIndicators: off,
      dPoP: off,
      introspection: on, revocation: on,
    },
  };
}

function sentences(error, text) {
  if (/session|expired|cookie/.test(`${error} ${text}`)) {
    return 'This login took too long, or was finished already. Go back to the hub and log in again.';
  }
  return `The request cannot be answered: ${text ?? error}. Go back to where you came from and try again.`;
}

async function findAccount(config, switches, ctx, sub) {
  const person = withSubject(readPeople(config.people), sub);
  if (!person) return undefined;
  const { aup, disabled } = switches.now();
  const isToken = ctx.oidc.route === 'token';
  if (disabled.includes(person.username)) {
    if (isToken) throw new errors.CustomOIDCProviderError('invalid_grant', `User ${person.username} is not active.`);
    return undefined;
  }
  if (isToken && aup.includes(person.username)) {
    throw new errors.CustomOIDCProviderError('invalid_grant', unsigned(person));
  }
  return { accountId: sub, claims: (use, scope) => claimsOf(person, config.flavour, new Set(scope?.split(' '))) };
}

/** Access tokens go out as JWTs, signed by us, and come back as such; the provider keeps them under their `jti`.

    Its own JWTs are for resource servers, and are refused at userinfo; IAM's are for both. */
function issueJwts(provider, config, state) {
  const { AccessToken } = provider;
  const { find } = AccessToken;
  const { getValueAndPayload } = AccessToken.prototype;
  const [jwk] = state.jwks.keys;
  const key = createPrivateKey({ key: jwk, format: 'jwk' });
  const header = { alg: jwk.alg, kid: jwk.kid };
  const verifier = createPublicKey(key);
  const idOf = async (value) => {
    const checks = { algorithms: [jwk.alg], issuer: config.issuer, currentDate: new Date(Date.now()) };
    return jwtVerify(value, verifier, checks).then(({ payload }) => payload.jti, () => undefined);
  };

  AccessToken.prototype.getValueAndPayload = async function signed() {
    const { payload } = await getValueAndPayload.call(this);
    const person = withSubject(readPeople(config.people), payload.accountId);
    const value = await new SignJWT(accessToken(payload, person, config)).setProtectedHeader(header).sign(key);
    return { value, payload };
  };
  AccessToken.find = async function found(value, ...rest) {
    const jti = await idOf(value);
    return jti && find.call(this, jti, ...rest);
  };
}

/** Where oidc-provider and IAM differ: the issuer's slash, plain PKCE, a password at each login, no consent page. */
function likeIam(config) {
  const extra = { code_challenge_methods_supported: ['plain', 'S256'], ...slash(config) };
  return async (ctx, next) => {
    const { path } = ctx;
    if (path === ROUTES.authorization) ctx.query = asked(ctx.query);
    await next();
    if (path === '/.well-known/openid-configuration' && ctx.status === 200) ctx.body = { ...ctx.body, ...extra };
    forgetSession(ctx, cookieNames().session);
  };
}

function slash(config) {
  return config.flavour === 'iam' ? { issuer: `${config.issuer}/` } : {};
}

/** The authorization request as the provider shall see it. It knows S256 only: a plain challenge is hashed for it. */
function asked(query) {
  const { code_challenge: challenge, code_challenge_method: method = 'plain' } = query;
  const changed = { ...query };
  if (query.prompt !== 'none') changed.prompt = 'login consent';
  if (typeof challenge === 'string' && method === 'plain' && challenge.length >= 43) {
    changed.code_challenge = createHash('sha256').update(challenge).digest('base64url');
    changed.code_challenge_method = 'S256';
  }
  return changed;
}

/** No session cookie, so that every login asks; and none outlives the browser, whatever our clock says. */
function forgetSession(ctx, name) {
  const cookies = [ctx.response.get('set-cookie')].flat().filter(Boolean);
  if (!cookies.length) return;
  const kept = cookies.filter((cookie) => !cookie.startsWith(`${name}=`) && !cookie.startsWith(`${name}.sig=`));
  ctx.set('set-cookie', kept.map((cookie) => cookie.replace(/; expires=(?!Thu, 01 Jan 1970)[^;]*/i, '')));
}

/** What is handed out is written down where a test asks for it. */
function writeDown(switches) {
  return async (ctx, next) => {
    await next();
    if (ctx.path !== ROUTES.token || ctx.status !== 200) return;
    const { access_token: access, refresh_token: refresh, id_token: id } = ctx.body;
    switches.issue(access, refresh, id, decodeJwt(access).jti);
  };
}
