/* What INDIGO IAM 1.12 says of a person, in its JWT profiles `iam` and `wlcg`. */

const ORGANISATION = 'ML-INFN demo';
const ANY_AUDIENCE = 'https://wlcg.cern.ch/jwt/v1/any';

const PROFILE = ['name', 'given_name', 'family_name', 'preferred_username', 'updated_at'];
const EMAIL = ['email', 'email_verified'];

/** Which claims each scope opens, in the words of oidc-provider. */
export function claimsOfScopes(flavour) {
  if (flavour === 'wlcg') return { openid: ['sub'], profile: PROFILE, email: EMAIL, 'wlcg.groups': ['wlcg.groups'] };
  return { openid: ['sub'], profile: [...PROFILE, 'groups', 'organisation_name'], email: EMAIL };
}

/** Everything that may be said of a person to a token with these scopes. Without `profile` it is `sub`, as in IAM. */
export function claimsOf(person, flavour, scopes) {
  if (!scopes.has('profile')) return { sub: person.sub };
  const [given, ...family] = (person.name ?? person.username).split(' ');
  const claims = {
    sub: person.sub, name: person.name, given_name: given, family_name: family.join(' '),
    preferred_username: person.username, email: person.email, email_verified: true,
  };
  if (flavour === 'wlcg') return { ...claims, 'wlcg.groups': withSlash(person.groups) };
  return { ...claims, groups: person.groups, organisation_name: ORGANISATION };
}

/** The content of an access token. `token` is what oidc-provider keeps of it. */
export function accessToken(token, person, { issuer, flavour }) {
  const scopes = new Set(token.scope?.split(' '));
  const claims = {
    iss: issuer, sub: token.accountId, client_id: token.clientId, jti: token.jti, scope: token.scope,
    iat: token.iat, nbf: token.iat, exp: token.exp,
  };
  if (flavour !== 'wlcg') return claims;
  const groups = scopes.has('wlcg.groups') ? { 'wlcg.groups': withSlash(person?.groups ?? []) } : {};
  return { ...claims, aud: ANY_AUDIENCE, 'wlcg.ver': '1.0', ...groups };
}

function withSlash(groups) {
  return groups.map((group) => `/${group}`).sort();
}
