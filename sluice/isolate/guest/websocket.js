// `new WebSocket`, `new EventSource` and `navigator.sendBeacon` by way of the Worker's own fetch().
//
// The native ones leave by the isolate's outbound: a user Worker has none, and no other's would say
// whose request it is. So they are made here from fetch, as patched by the shim before this runs.
import { AsyncLocalStorage } from "node:async_hooks";
import { waitUntil } from "cloudflare:workers";
import "./__sluice_shim.js";

const { fetch, EventTarget, Headers, WebSocket: Native, EventSource: NativeEventSource } = globalThis;
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const STATES = ["CONNECTING", "OPEN", "CLOSING", "CLOSED"];
const LOST = 1006;

// workerd calls a socket's listeners outside of the request's async context, where the shim finds
// neither the way out nor the env of the request. So each is called in the one that added it.
const added = new WeakMap(); // of each socket: what was added, to what is called in its place
const { addEventListener, removeEventListener } = EventTarget.prototype;

function inContext(socket, listener) {
  if (typeof (listener?.handleEvent ?? listener) !== "function") return listener;
  if (!added.has(socket)) added.set(socket, new WeakMap());
  const listeners = added.get(socket);
  if (!listeners.has(listener)) {
    const call = (event) =>
      typeof listener === "function" ? listener.call(socket, event) : listener.handleEvent(event);
    listeners.set(listener, AsyncLocalStorage.bind(call));
  }
  return listeners.get(listener);
}

for (const { prototype } of [Native, NativeEventSource]) {
  prototype.addEventListener = function (type, listener, options) {
    addEventListener.call(this, type, inContext(this, listener), options);
  };
  prototype.removeEventListener = function (type, listener, options) {
    removeEventListener.call(this, type, added.get(this)?.get(listener) ?? listener, options);
  };
  for (const type of ["open", "message", "close", "error"]) {
    const set = new WeakMap();
    Object.defineProperty(prototype, `on${type}`, {
      configurable: true,
      get() {
        return set.get(this) ?? null;
      },
      set(listener) {
        set.set(this, inContext(this, listener));
      },
    });
  }
}

/** The http(s) URL to ask for. Throws a SyntaxError as the native constructor does. */
function address(url) {
  let parsed;
  try {
    parsed = new URL(url);
  } catch {
    throw new DOMException("WebSocket Constructor: The url is invalid.", "SyntaxError");
  }
  const scheme = { "ws:": "http:", "wss:": "https:", "http:": "http:", "https:": "https:" }[parsed.protocol];
  if (!scheme) {
    throw new DOMException(
      "WebSocket Constructor: The url scheme must be ws or wss.",
      "SyntaxError",
    );
  }
  if (parsed.hash) {
    throw new DOMException("WebSocket Constructor: The url fragment must be empty.", "SyntaxError");
  }
  parsed.protocol = scheme;
  return parsed;
}

/** The subprotocols asked for. Throws a SyntaxError for one that is no token or is there twice. */
function offered(protocols) {
  const list = (Array.isArray(protocols) ? protocols : [protocols]).map(String);
  if (!list.every((name) => TOKEN.test(name)) || new Set(list).size < list.length) {
    throw new DOMException("The protocols provided were invalid.", "SyntaxError");
  }
  return list;
}

class WebSocket extends EventTarget {
  #url;
  #protocol = "";
  #state = 0;
  #binaryType;
  #socket = null; // the native one, once it is open
  #closing = null; // what close() was given before that

  constructor(url, protocols = []) {
    super();
    const target = address(url);
    const names = offered(protocols);
    this.#url = String(new URL(url));
    this.#connect(target, names);
  }

  /** So that sockets from fetch() and WebSocketPair are still instances of WebSocket. */
  static [Symbol.hasInstance](value) {
    return value instanceof Native || (typeof value === "object" && value !== null && #state in value);
  }

  get url() {
    return this.#url;
  }

  get protocol() {
    return this.#protocol;
  }

  get extensions() {
    return "";
  }

  get readyState() {
    return this.#socket && this.#state < 3 ? this.#socket.readyState : this.#state;
  }

  get binaryType() {
    return this.#socket?.binaryType ?? this.#binaryType;
  }

  set binaryType(type) {
    if (this.#socket) this.#socket.binaryType = type;
    else this.#binaryType = type;
  }

  /** The native one needs it where it came from elsewhere; here there is nothing to accept. */
  accept() {
    throw new TypeError(
      "Websockets obtained from the 'new WebSocket()' constructor cannot call accept",
    );
  }

  send(data) {
    if (this.#state === 0) {
      throw new DOMException(
        "You must wait for this WebSocket to open before sending messages.",
        "InvalidStateError",
      );
    }
    this.#socket?.send(data);
  }

  close(code, reason) {
    if (this.#socket) return this.#socket.close(code, reason);
    const [native] = Object.values(new WebSocketPair());
    native.accept();
    native.close(code, reason); // throws where the arguments are wrong
    if (this.#state === 0) {
      this.#state = 2;
      this.#closing = [code, reason];
    }
  }

  async #connect(target, names) {
    try {
      const headers = new Headers({ Upgrade: "websocket" });
      if (names.length > 0) headers.set("Sec-WebSocket-Protocol", names.join(", "));
      const response = await fetch(target, { headers });
      const socket = response.webSocket;
      if (!socket) {
        await response.body?.cancel();
        throw new Error("Failed to establish the WebSocket connection: expected server to reply with HTTP status code 101 (switching protocols), but received " + response.status + " instead.");
      }
      const chosen = response.headers.get("Sec-WebSocket-Protocol") ?? "";
      if (chosen !== "" && !names.includes(chosen)) {
        socket.accept();
        socket.close();
        throw new Error("Failed to establish the WebSocket connection: the server chose a protocol that was not offered.");
      }
      this.#protocol = chosen;
      this.#open(socket);
    } catch (error) {
      this.#fail(error);
    }
  }

  #open(socket) {
    if (this.#binaryType !== undefined) socket.binaryType = this.#binaryType;
    socket.addEventListener("message", ({ data }) =>
      this.dispatchEvent(new MessageEvent("message", { data })),
    );
    socket.addEventListener("close", ({ code, reason, wasClean }) => {
      this.#state = 3;
      this.dispatchEvent(new CloseEvent("close", { code, reason, wasClean }));
    });
    socket.addEventListener("error", ({ message, error }) =>
      this.dispatchEvent(new ErrorEvent("error", { message, error })),
    );
    this.#socket = socket;
    socket.accept();
    if (this.#closing) {
      socket.close(...this.#closing);
    } else {
      this.#state = 1;
      this.dispatchEvent(new Event("open"));
    }
  }

  #fail(error) {
    this.#state = 3;
    this.dispatchEvent(new ErrorEvent("error", { message: error.message, error }));
    this.dispatchEvent(new CloseEvent("close", { code: LOST, reason: "Failed to establish websocket connection", wasClean: false }));
  }
}

for (const [value, name] of STATES.entries()) {
  for (const holder of [WebSocket, WebSocket.prototype]) {
    Object.defineProperty(holder, name, { value, enumerable: true });
    Object.defineProperty(holder, `READY_STATE_${name}`, { value, enumerable: true });
  }
}
globalThis.WebSocket = WebSocket;

/** Reads the events of `url` once: where they end, an error is told and nothing is asked again. */
globalThis.EventSource = class EventSource {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSED = 2;
  static from = (stream) => NativeEventSource.from(stream);
  static [Symbol.hasInstance] = (value) => value instanceof NativeEventSource;

  constructor(url) {
    const { readable, writable } = new TransformStream();
    read(String(new URL(url)), writable).catch(() => {}); // the source has been told
    return NativeEventSource.from(readable);
  }
};

async function read(url, writable) {
  try {
    const response = await fetch(url, { headers: { Accept: "text/event-stream" } });
    const type = response.headers.get("Content-Type") ?? "";
    if (response.status !== 200 || !type.startsWith("text/event-stream")) {
      throw new Error(`EventSource: status ${response.status} with content type "${type}".`);
    }
    await response.body.pipeTo(writable);
  } catch (error) {
    await writable.abort(error);
  }
}

/** Sends in the background, for as long as waitUntil() lasts. */
navigator.sendBeacon = (url, body) => {
  waitUntil(fetch(url, { method: "POST", body }).catch(() => {}));
  return true;
};
