// Each customer has a subdomain, and may have lists of its own: `allow` in place of the platform's,
// `block` besides the platform's.
export default {
  async fetch(request, env) {
    const customer = new URL(request.url).hostname.split(".")[0];
    const outbound = { customer, ...env.LISTS[customer] };
    try {
      return await env.dispatcher.get(customer, {}, { outbound }).fetch(request);
    } catch (error) {
      const unknown = error.message.startsWith("Worker not found");
      return new Response(`${error.message}\n`, { status: unknown ? 404 : 500 });
    }
  },
};
