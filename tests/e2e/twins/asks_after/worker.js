// Asks when it has answered.
export default {
  fetch(request, env, ctx) {
    ctx.waitUntil(fetch(request.headers.get("x-url")));
    return new Response("answered");
  },
};
