// Each customer has a subdomain, and may have a binding of its own, with lists of its own.
export default {
  async fetch(request, env) {
    const customer = new URL(request.url).hostname.split(".")[0];
    const binding = Object.hasOwn(env, customer) ? env[customer] : env.dispatcher;
    try {
      return await binding.get(customer).fetch(request);
    } catch (error) {
      const unknown = error.message.startsWith("Worker not found");
      return new Response(`${error.message}\n`, { status: unknown ? 404 : 500 });
    }
  },
};
