// Runs in the Worker's own isolate, before the Worker's modules. It gives each request its own way
// out and its own env, and turns what the Worker throws into a header that the host reads.
//
// It holds no secret: in a user Worker's isolate the way out is a stub whose token only the gate can
// read (gate.js). User code that tampers with this file's work harms its own requests only.
import { AsyncLocalStorage } from "node:async_hooks";
import { WorkerEntrypoint } from "cloudflare:workers";

const ERROR = "x-sluice-error";
const ERROR_TYPES = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

export const nativeFetch = globalThis.fetch;
const wayOut = new AsyncLocalStorage(); // (Request) => Promise<Response>, of the request being served

/** ASCII JSON, as a header value can carry it. */
export const headerJson = (value) =>
  JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"),
  );

/** A stack without the frames of this file and of the runtime below it. */
const ownFrames = (stack) =>
  stack
    .split("\n")
    .filter((line) => !/__sluice_|\(cloudflare:/.test(line))
    .join("\n");

/** The response that tells the host what was thrown. */
export function thrown(error, kind = "exception") {
  const isError = error instanceof Error || typeof error?.message === "string";
  const description = {
    kind,
    name: isError ? String(error.name) : "Error",
    message: (isError ? String(error.message) : String(error)).slice(0, 2048),
  };
  if (isError && error.stack) console.error(ownFrames(String(error.stack)));
  return new Response(null, { status: 500, headers: { [ERROR]: headerJson(description) } });
}

/** The response, or the exception that the host put in its place. */
export function unwrap(response) {
  const description = response.headers.get(ERROR);
  if (description === null) return response;
  const { name, message } = JSON.parse(description);
  const error = new (ERROR_TYPES[name] ?? Error)(message);
  if (error.name !== name) error.name = name;
  throw error;
}

globalThis.fetch = async function fetch(input, init) {
  const send = wayOut.getStore();
  const request = new Request(input, init);
  // A data: URL never leaves the isolate. Outside a request there is no way out, and the answer to
  // the plain fetch says so.
  const local = send === undefined || request.url.startsWith("data:");
  return unwrap(await (local ? nativeFetch(request) : send(request)));
};

// Service-worker syntax registers its handlers here, before the first request.
const listeners = [];
const nativeAddEventListener = globalThis.addEventListener;
globalThis.addEventListener = (type, listener, ...rest) =>
  type === "fetch" ? void listeners.push(listener) : nativeAddEventListener(type, listener, ...rest);

/** Gives a service-worker script its bindings, which are globals there. */
export function defineGlobals(env) {
  for (const [name, value] of Object.entries(env)) globalThis[name] ??= value;
}

async function respondByListeners(request, ctx) {
  let response;
  for (const listener of listeners) {
    const event = {
      type: "fetch",
      request,
      respondWith: (promise) => (response ??= Promise.resolve(promise)),
      waitUntil: (promise) => ctx.waitUntil(promise),
      passThroughOnException: () => ctx.passThroughOnException(),
    };
    await (typeof listener === "function" ? listener(event) : listener.handleEvent(event));
    if (response) return response;
  }
  throw new Error("No event listener called respondWith().");
}

function respond(user, request, env, ctx) {
  const handler = user.default;
  if (typeof handler === "function") return new handler(ctx, env).fetch(request);
  if (typeof handler?.fetch === "function") return handler.fetch(request, env, ctx);
  if (listeners.length > 0) return respondByListeners(request, ctx);
  throw new TypeError("Handler does not export a fetch() function.");
}

/**
 * Serves one request with the Worker's module namespace `user`. `send` is this request's way out,
 * `props` becomes ctx.props.
 */
export async function serve(user, request, { send, props, env, ctx }) {
  const context = {
    waitUntil: (promise) => ctx.waitUntil(promise),
    passThroughOnException: () => ctx.passThroughOnException(),
    props,
  };
  try {
    return await wayOut.run(send, () => respond(user, request, env, context));
  } catch (error) {
    return thrown(error);
  }
}

/** The entrypoint class that the gate calls, for the Worker's module namespace `user`. */
export const entrypoint = (user) =>
  class extends WorkerEntrypoint {
    fetch(request) {
      const { egress, props } = this.ctx.props;
      const send = (subrequest) => egress.fetch(subrequest);
      return serve(user, request, { send, props, env: this.env, ctx: this.ctx });
    }
  };
