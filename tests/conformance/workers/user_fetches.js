// Subrequests of the user Worker.

/** The URL of the request at the origin: path and query character for character. */
const at = (base, url) => base + url.replace(/^https?:\/\/[^/?]*/, "");

const outcome = async (response) => ({
  status: response.status,
  statusText: response.statusText,
  ok: response.ok,
  url: response.url,
  redirected: response.redirected,
  type: response.type,
  headers: [...response.headers],
  cookies: response.headers.getSetCookie(),
  hasBody: response.body !== null,
  body: await response.text().catch((error) => `${error.name}: ${error.message}`),
});

const told = async (promise) =>
  Response.json(
    await promise.then(outcome).catch((error) => ({ error: `${error.name}: ${error.message}` })),
  );

/** Passes the request on, and the response back, as they are. */
export const pass = ({ request, env }) => fetch(new Request(at(env.ORIGIN, request.url), request));

/** Passes the request on, and says what it sees of the response. */
export const outcome_of = ({ request, env }) =>
  told(fetch(new Request(at(env.ORIGIN, request.url), request)));

/** `fetch()` with the JSON in `x-init`, of the URL in `x-url` or of the origin. */
export const init = ({ request, env }) => {
  const options = JSON.parse(request.headers.get("x-init") ?? "{}");
  return told(fetch(request.headers.get("x-url") ?? at(env.ORIGIN, request.url), options));
};

/** As `init`, and the response goes back as it is. */
export const init_pass = ({ request, env }) =>
  fetch(at(env.ORIGIN, request.url), JSON.parse(request.headers.get("x-init") ?? "{}"));

const post = (env, body, headers = {}) => fetch(env.ORIGIN, { method: "POST", body, headers });

export const f_text = ({ env }) => post(env, "text \u20ac");
export const f_bytes = ({ env }) => post(env, new Uint8Array([0, 1, 255]));
export const f_blob = ({ env }) => post(env, new Blob(["b"], { type: "image/x-b" }));
export const f_search = ({ env }) => post(env, new URLSearchParams([["a", "1 2"], ["a", "&"]]));
export const f_null = ({ env }) => post(env, null);
export const f_empty = ({ env }) => post(env, "");
export const f_stream = ({ env }) => {
  const { readable, writable } = new TransformStream();
  const writer = writable.getWriter();
  writer.write(new TextEncoder().encode("streamed")).then(() => writer.close());
  return post(env, readable);
};
export const f_stream_length = ({ env }) => {
  const { readable, writable } = new FixedLengthStream(8);
  const writer = writable.getWriter();
  writer.write(new TextEncoder().encode("streamed")).then(() => writer.close());
  return post(env, readable);
};
export const f_headers = ({ env }) => {
  const headers = new Headers([
    ["x-b", "1"],
    ["x-a", "caf\u00e9"],
    ["x-b", "2"],
    ["cookie", "a=1; b=2"],
    ["cookie", "c=3"],
    ["x-empty", ""],
    ["user-agent", "me"],
    ["accept-encoding", "gzip"],
  ]);
  return fetch(env.ORIGIN, { headers });
};
export const f_own_framing = ({ env }) =>
  post(env, "four", { "content-length": "9", "transfer-encoding": "chunked", host: "elsewhere.test" });
export const f_hop_by_hop = ({ env }) =>
  fetch(env.ORIGIN, { headers: { te: "trailers", "keep-alive": "timeout=5", "proxy-authorization": "x" } });
export const f_control = ({ env }) =>
  fetch(env.ORIGIN, { headers: { "x-forwarded-for": "1.2.3.4", forwarded: "for=1.2.3.4", via: "1.1 x" } });
export const f_bad_header = ({ env }) => told(fetch(env.ORIGIN, { headers: { "x-a": "a\r\nb: c" } }));
export const f_bad_method = ({ env }) => told(fetch(env.ORIGIN, { method: "CONNECT" }));
export const f_bad_url = () => told(fetch("not a url"));
export const f_bad_scheme = () => told(fetch("ftp://example.com/"));
export const f_get_body = ({ env }) => told(fetch(env.ORIGIN, { method: "GET", body: "x" }));
export const f_data = () => told(fetch("data:text/plain;base64,aGk="));
export const f_refused = () => told(fetch("http://127.0.0.1:2/"));
export const f_twice = async ({ env }) => {
  const one = fetch(`${env.ORIGIN}/one`).then((response) => response.text());
  const two = fetch(`${env.ORIGIN}/two`).then((response) => response.text());
  return new Response(`${await one} ${await two}`);
};
export const f_in_turn = async ({ env }) => {
  const texts = [];
  for (const path of ["/1", "/2", "/3"]) texts.push(await (await fetch(env.ORIGIN + path)).text());
  return new Response(texts.join());
};
export const f_request_object = ({ env }) => {
  const request = new Request(env.ORIGIN, { method: "PUT", body: "a", headers: { "x-a": "1" } });
  return fetch(new Request(request, { headers: { "x-b": "2" } }));
};
export const f_request_clone = async ({ env }) => {
  const request = new Request(env.ORIGIN, { method: "POST", body: "same" });
  const copy = request.clone();
  await (await fetch(request)).text();
  return fetch(copy);
};
export const f_response_edited = async ({ env }) => {
  const response = new Response((await fetch(env.ORIGIN)).body, { status: 202 });
  response.headers.set("x-edited", "yes");
  return response;
};
export const f_response_clone = async ({ env }) => {
  const response = await fetch(env.ORIGIN);
  const copy = response.clone();
  return new Response(`${await copy.text()}|${await response.text()}`, response);
};
export const f_header_delete = async ({ env }) => {
  const response = new Response(null, await fetch(env.ORIGIN));
  response.headers.delete("set-cookie");
  return response;
};
export const f_body_cancelled = async ({ env }) => {
  const response = await fetch(env.ORIGIN);
  await response.body.cancel("enough");
  return new Response("cancelled");
};
export const f_body_ignored = async ({ env }) => {
  await fetch(env.ORIGIN);
  return new Response("ignored");
};
export const f_json = async ({ env }) => Response.json(await (await fetch(env.ORIGIN)).json());
export const f_bad_json = async ({ env }) =>
  told((await fetch(env.ORIGIN)).json().then(() => new Response("no error")));
export const f_html = async ({ env }) =>
  new HTMLRewriter()
    .on("a", { element: (e) => e.setAttribute("href", "https://new.test/") })
    .transform(await fetch(env.ORIGIN));
export const f_abort_before = ({ env }) =>
  told(fetch(env.ORIGIN, { signal: AbortSignal.abort(new Error("never")) }));
export const f_timeout = ({ env }) =>
  fetch(env.ORIGIN, { signal: AbortSignal.timeout(50) }).then(
    () => new Response("no error"),
    (error) => new Response(`${error.name}: ${error.message}`),
  );
export const f_reader = async ({ env }) => {
  const reader = (await fetch(env.ORIGIN)).body.getReader();
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return new Response(String(size));
    size += value.length;
  }
};
export const f_tee = async ({ env }) => {
  const [one, two] = (await fetch(env.ORIGIN)).body.tee();
  const first = await new Response(one).text();
  return new Response(first + (await new Response(two).text()));
};
export const f_encoded = async ({ env }) => told(fetch(env.ORIGIN));
export const f_wait_until = ({ env, ctx, report }) => {
  const late = async () => {
    await scheduler.wait(20);
    const response = await fetch(`${env.ORIGIN}/late`);
    await report({ late: await response.text() });
  };
  ctx.waitUntil(late());
  return new Response("before");
};
