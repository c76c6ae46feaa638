// JS RPC on a dispatched Worker, `env.dispatcher.get(name).method(...)`: both of its ends.
//
// A call is one invocation like any other. Its request's body is the list of arguments, its
// response's body the result (clone.js); which method is meant is said beside the request, where
// only the host can say it. So what the method fetches is attributed as in fetch().
import { WorkerEntrypoint } from "cloudflare:workers";
import { checkLength, decode, encode } from "./__sluice_clone.js";

const RESERVED = new Set(
  "fetch connect dup constructor alarm webSocketMessage webSocketClose webSocketError".split(" "),
);
const CALL = Symbol("call");

/** The text of a result. One that is too long is read no further: it may have no end. */
async function textOf(response) {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    checkLength(text.length);
  }
  return text + decoder.decode();
}

/** What calls `method`, and refuses to be anything but called. */
const caller = (worker, method) =>
  Object.assign((...args) => worker[CALL](method, args), {
    // So that `await get(name).property` and pipelining end in words.
    then: (...handlers) =>
      Promise.reject(
        new TypeError(
          `RPC to a dispatched Worker carries method calls only: "${method}" can be called, not read.`,
        ),
      ).then(...handlers),
  });

/**
 * What `get()` returns: a Fetcher whose every other method is an RPC. `send` carries the Request of
 * a call to `method`.
 */
export class Dispatched {
  #send;

  constructor(fetch, send) {
    this.fetch = fetch;
    this.#send = send;
  }

  async [CALL](method, args) {
    const request = new Request("http://rpc.invalid/", { method: "POST", body: encode(args) });
    return decode(await textOf(await this.#send(request, method)));
  }
}

// Behind the class, so that only names that a Fetcher lacks get here, and fetch() pays nothing.
const methods = new Proxy(Object.prototype, {
  get: (target, name, worker) =>
    typeof name === "symbol" || name === "then" || name in target
      ? Reflect.get(target, name, worker)
      : caller(worker, name),
});
Object.setPrototypeOf(Dispatched.prototype, methods);

/** What `receiver` offers as `name`: a class's instance what classes declare, an object what it has. */
function offered(receiver, name, isClass) {
  const isOwn = Object.hasOwn(receiver, name);
  const isOffered = isClass ? !isOwn && receiver[name] !== Object.prototype[name] : isOwn;
  return isOffered ? receiver[name] : undefined;
}

/** Calls a method as workerd does, and refuses in its words. */
function call(handler, name, args, env, ctx) {
  if (RESERVED.has(name)) {
    throw new TypeError(`'${name}' is a reserved method and cannot be called over RPC.`);
  }
  const isClass = typeof handler === "function";
  const receiver = isClass ? new handler(ctx, env) : Object(handler);
  if (isClass && !(receiver instanceof WorkerEntrypoint)) {
    throw new TypeError("The receiver is not an RPC object: it does not extend WorkerEntrypoint.");
  }
  const method = offered(receiver, name, isClass);
  if (method === undefined) {
    throw new TypeError(`The RPC receiver does not implement the method "${name}".`);
  }
  if (typeof method !== "function") throw new TypeError(`"${name}" is not a function.`);
  if (isClass) return method.apply(receiver, args);
  if (args.length !== 1) {
    throw new TypeError(
      `Attempted to call RPC function "${name}" with the wrong number of arguments. When calling ` +
        "a top-level handler function that is not declared as part of a class, you must always " +
        "send exactly one argument. In order to support variable numbers of arguments, the " +
        "server must use class-based syntax (extending WorkerEntrypoint) instead.",
    );
  }
  return method.call(receiver, args[0], env, ctx);
}

/** The response to a request that calls `method` of the default export `handler`. */
export async function answer(handler, method, request, env, ctx) {
  const args = decode(await request.text());
  return new Response(encode(await call(handler, method, args, env, ctx)));
}
