// By origin: scheme, host and port. A host alone would also match plain http, and a pattern might
// match a host that somebody else owns.
const APIS = new Map([
  ["https://payments.example.com", (env) => authorization(`Bearer ${env.PAYMENTS_TOKEN}`)],
  ["https://mail.example.com", (env) => authorization(basic(env.MAIL_USER, env.MAIL_PASSWORD))],
  ["https://maps.example.com", (env) => ({ header: "x-api-key", value: env.MAPS_KEY })],
]);

const authorization = (value) => ({ header: "authorization", value });

const basic = (user, password) => `Basic ${btoa(`${user}:${password}`)}`;

/** The header that the API at `origin` wants, as `{header, value}`; null where there is no API. */
export function credentialFor(origin, env) {
  const credential = APIS.get(origin);
  return credential === undefined ? null : credential(env);
}
