// Chooses as the header x-chosen says.
export default {
  async fetch(request, env) {
    const { args, options } = JSON.parse(request.headers.get("x-chosen"));
    try {
      return await env.dispatcher.get("acme", args, options).fetch(request);
    } catch (e) {
      return new Response(`${e.name}: ${e.message}`, { status: 500 });
    }
  },
};
