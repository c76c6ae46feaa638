// Each customer has a subdomain. The Outbound Worker is told which customer and which request its
// subrequests are of: user code can neither read nor choose that.
export default {
  async fetch(request, env) {
    const customer = new URL(request.url).hostname.split(".")[0];
    const outbound = { customer, request_id: crypto.randomUUID() };
    try {
      return await env.dispatcher.get(customer, {}, { outbound }).fetch(request);
    } catch (error) {
      const unknown = error.message.startsWith("Worker not found");
      return new Response(`${error.message}\n`, { status: unknown ? 404 : 500 });
    }
  },
};
