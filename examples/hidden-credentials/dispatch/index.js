// Each customer has a subdomain.
export default {
  async fetch(request, env) {
    const customer = new URL(request.url).hostname.split(".")[0];
    try {
      return await env.dispatcher.get(customer, {}, { outbound: { customer } }).fetch(request);
    } catch (error) {
      const unknown = error.message.startsWith("Worker not found");
      return new Response(`${error.message}\n`, { status: unknown ? 404 : 500 });
    }
  },
};
