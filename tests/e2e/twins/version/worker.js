// Answers with its version, after a subrequest.
export default {
  async fetch(request, env) {
    await (await fetch(request.headers.get("x-url"))).text();
    return new Response(env.VERSION);
  },
};
