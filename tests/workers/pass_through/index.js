// Throws, having said that its request is then to go on unchanged.
export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    if (pathname !== "/closed") ctx.passThroughOnException();
    if (pathname === "/read") await request.text();
    if (pathname === "/fine") return new Response("fine");
    throw new RangeError("out of it");
  },
};
