// Fails in the way that the path names.
class Custom extends Error {
  name = "Custom";
}

const failures = {
  null: () => {
    throw null;
  },
  undefined: () => {
    throw undefined;
  },
  string: () => {
    throw "just text";
  },
  object: () => {
    throw { code: 7 };
  },
  custom: () => Promise.reject(new Custom("of my own")),
  dom: () => AbortSignal.abort().throwIfAborted(),
  aggregate: () => Promise.any([Promise.reject(new Error("one"))]),
  recursion: function deeper() {
    return deeper() + 1;
  },
  "no response": () => undefined,
  "not a response": () => ({ status: 200 }),
  getter: () => {
    throw Object.defineProperty(new Error("x"), "message", { get: () => "from a getter" });
  },
  long: () => {
    throw new Error("é".repeat(100_000));
  },
  never: () => new Promise(() => {}),
  stream: () =>
    new Response(
      new ReadableStream({
        start: (controller) => controller.enqueue(new TextEncoder().encode("begun")),
        pull: async () => {
          await scheduler.wait(5);
          throw new Error("in the middle");
        },
      }),
    ),
  unhandled: () => {
    Promise.reject(new Error("nobody looks"));
    setTimeout(() => {
      throw new Error("in a timer");
    }, 1);
    return new Response("answered");
  },
};

export default { fetch: (request) => failures[decodeURIComponent(new URL(request.url).pathname.slice(1))]() };
