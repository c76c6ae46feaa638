// Serves a dispatch Worker or an Outbound Worker: the operator's own code, which needs no gate.
// The token of the request is kept beside it, and goes with each of its subrequests.
import { withEnvAndExports } from "cloudflare:workers";
import { Dispatched } from "./__sluice_rpc.js";
import { headerJson, nativeFetch, serve, unwrap } from "./__sluice_shim.js";

const TOKEN = "x-sluice-token";
const ENV = "x-sluice-env";
const GET = "x-sluice-get";

/** JSON text of a value that get() was given. Throws a TypeError that names the key. */
function jsonOf(value, key) {
  const refuse = (what) => {
    throw new TypeError(`dispatcher.get(): ${key} has a ${what}, which JSON cannot carry.`);
  };
  try {
    return JSON.parse(
      JSON.stringify(value, (_, member) =>
        ["function", "symbol", "bigint"].includes(typeof member) ? refuse(typeof member) : member,
      ) ?? "null",
    );
  } catch (error) {
    if (error.message.startsWith("dispatcher.get()")) throw error;
    return refuse("cycle");
  }
}

const jsonMembers = (object, where) =>
  Object.fromEntries(
    Object.entries(object ?? {})
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => [key, jsonOf(value, `${where}.${key}`)]),
  );

/** A dispatch namespace binding. `send` carries a Request, and what get() chose. */
const dispatchNamespace = (binding, send) => ({
  get(name, args = {}, options = {}) {
    const dispatch = async (request, method) => {
      const chosen = {
        binding,
        name: String(name),
        props: jsonMembers(args?.props, "props"),
        outbound: jsonMembers(options?.outbound, "outbound"),
        limits: jsonMembers(options?.limits, "limits"),
        method,
      };
      return unwrap(await send(request, headerJson(chosen)));
    };
    return new Dispatched(async (input, init) => dispatch(new Request(input, init)), dispatch);
  },
});

/** The fetch handler for the Worker's module namespace `user` and the names of its bindings. */
export const handler = (user, bindings) => ({
  fetch(request, staticEnv, ctx) {
    const headers = new Headers(request.headers);
    const token = headers.get(TOKEN);
    const chosen = JSON.parse(headers.get(ENV) ?? "{}");
    headers.delete(TOKEN);
    headers.delete(ENV);

    // The subrequest is new, and nobody else's: its headers can be set in place.
    const send = (subrequest, chosen) => {
      subrequest.headers.set(TOKEN, token);
      if (chosen) subrequest.headers.set(GET, chosen);
      else subrequest.headers.delete(GET);
      return nativeFetch(subrequest);
    };
    // This request's env, as the handler's argument and by `import { env }`.
    const namespaces = bindings.map((name) => [name, dispatchNamespace(name, send)]);
    const env = { ...staticEnv, ...chosen, ...Object.fromEntries(namespaces) };
    const seen = new Request(request, { headers });
    return withEnvAndExports(env, {}, () => serve(user, seen, { send, props: {}, env, ctx }));
  },
});
