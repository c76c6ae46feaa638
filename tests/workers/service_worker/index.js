// Service-worker syntax: bindings are globals, and a request nobody answers goes on unchanged.
const seen = [];

addEventListener("fetch", (event) => {
  const { pathname } = new URL(event.request.url);
  seen.push(pathname);
  if (pathname === "/first") event.respondWith(new Response("by the first"));
  if (pathname === "/throw") throw new RangeError("in the listener");
  if (pathname === "/open") {
    event.passThroughOnException();
    throw new RangeError("in the listener");
  }
  if (pathname === "/late") {
    setTimeout(() => {
      try {
        event.respondWith(new Response("late"));
      } catch (error) {
        console.log(error.name + ": " + error.message);
      }
    }, 1);
  }
});

addEventListener("fetch", {
  handleEvent(event) {
    const { pathname } = new URL(event.request.url);
    if (pathname === "/none" || pathname === "/late") return;
    event.waitUntil(fetch("https://log.test" + pathname));
    if (pathname === "/twice") event.respondWith(new Response("one"));
    event.respondWith(
      Promise.resolve(Response.json([PLAN, event.type, event instanceof FetchEvent, typeof globalThis.seen, seen])),
    );
  },
});
