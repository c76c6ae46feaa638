// Runs in the Worker's own isolate, before the Worker's modules. It gives each request its own way
// out and its own env, and turns what the Worker throws into a header that the host reads.
//
// It holds no secret: in a user Worker's isolate the way out is a stub whose token only the gate can
// read (gate.js). User code that tampers with this file's work harms its own requests only.
import { AsyncLocalStorage } from "node:async_hooks";
import { WorkerEntrypoint } from "cloudflare:workers";
import { answer } from "./__sluice_rpc.js";

// The runtime's own, whatever the Worker puts in their place.
const { Request, Response } = globalThis;

const ERROR = "x-sluice-error";
const TOO_LATE =
  "Too late to call FetchEvent.respondWith(). It must be called synchronously in the event handler.";
const TWICE = "FetchEvent.respondWith() has already been called; it can only be called once.";
// Without a prototype: an exception may be called "constructor".
const ERROR_TYPES = {
  __proto__: null, Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError,
};

export const nativeFetch = globalThis.fetch;
const wayOut = new AsyncLocalStorage(); // (Request) => Promise<Response>, of the request being served

/** ASCII JSON, as a header value can carry it. */
export const headerJson = (value) =>
  JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"),
  );

/** Prints where an error came from, without the frames of this file and of the runtime below it. */
const printStack = (error) => {
  const lines = String(error?.stack ?? "").split("\n");
  const own = lines.filter((line) => !/__sluice_|\(cloudflare:/.test(line)).join("\n");
  if (own) console.error(own);
};

/** The response that tells the host what was thrown. */
export function thrown(error, kind = "exception") {
  const isError = error instanceof Error || typeof error?.message === "string";
  const description = {
    kind,
    name: isError ? String(error.name) : "Error",
    message: (isError ? String(error.message) : String(error)).slice(0, 2048),
  };
  printStack(error);
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

/** Sends a request on to where it was going, as workerd does where the Worker leaves it alone. */
const passOn = async (request, send) => unwrap(await send(request));

function respondByListeners(request, ctx, send) {
  let response;
  let tooLate = false;
  const event = {
    __proto__: FetchEvent.prototype,
    type: "fetch",
    request,
    respondWith(promise) {
      if (tooLate) throw new DOMException(TOO_LATE, "InvalidStateError");
      if (response) throw new DOMException(TWICE, "InvalidStateError");
      response = Promise.resolve(promise);
    },
    waitUntil: ctx.waitUntil,
    passThroughOnException: ctx.passThroughOnException,
  };
  for (const listener of listeners) {
    if (typeof listener === "function") listener(event);
    else listener.handleEvent(event);
    if (response) break;
  }
  tooLate = true;
  return response ?? passOn(request, send);
}

function respond(user, request, env, ctx, send) {
  const handler = user.default;
  const receiver = typeof handler === "function" ? new handler(ctx, env) : handler;
  if (typeof receiver?.fetch === "function") return receiver.fetch(request, env, ctx);
  if (listeners.length > 0) return respondByListeners(request, ctx, send);
  throw new TypeError("Handler does not export a fetch() function.");
}

/**
 * Serves one request with the Worker's module namespace `user`, or the RPC that it is where there
 * is a `method`. `send` is this request's way out, `props` becomes ctx.props.
 */
export async function serve(user, request, { send, props, method, env, ctx }) {
  let failOpen = false;
  const context = {
    waitUntil: (promise) => ctx.waitUntil(promise),
    passThroughOnException: () => void (failOpen = true),
    props,
  };
  const run = () =>
    method === undefined
      ? respond(user, request, env, context, send)
      : answer(user.default, method, request, env, context);
  try {
    return checked(await wayOut.run(send, run));
  } catch (error) {
    // A body that was read, as that of an RPC always is, cannot be sent on.
    return failOpen && !request.bodyUsed ? rescue(error, request, send) : thrown(error);
  }
}

/** What a handler returned, if workerd can send it. In a caller's place workerd would answer 500. */
function checked(response) {
  if (!(response instanceof Response)) {
    throw new TypeError("Incorrect type for Promise: the Promise did not resolve to 'Response'.");
  }
  if (response.type === "error") {
    throw new TypeError(
      "Return value from serve handler must not be an error response (like Response.error())",
    );
  }
  if (response.bodyUsed) {
    throw new TypeError(
      "Body has already been used. It can only be used once. Use tee() first if you need to read it twice.",
    );
  }
  return response;
}

/** Serves the request of a Worker that threw, and had said passThroughOnException(). */
async function rescue(error, request, send) {
  printStack(error);
  try {
    return await passOn(request, send);
  } catch (refusal) {
    return thrown(refusal);
  }
}

/** The entrypoint class that the gate calls, for the Worker's module namespace `user`. */
export const entrypoint = (user) =>
  class extends WorkerEntrypoint {
    fetch(request) {
      const { egress, props, method } = this.ctx.props;
      const send = (subrequest) => egress.fetch(subrequest);
      return serve(user, request, { send, props, method, env: this.env, ctx: this.ctx });
    }
  };
