// The host says how: `<handler of user.js>.<what to do with an exception>.test`.
export default {
  async fetch(request, env) {
    const uncaught = new URL(request.url).hostname.split(".")[1] === "uncaught";
    try {
      return await env.dispatcher.get("user").fetch(request);
    } catch (error) {
      if (uncaught) throw error;
      return new Response(`${error.name}: ${error.message}`, { status: 599 });
    }
  },
};
