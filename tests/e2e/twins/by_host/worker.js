export default {
  async fetch(request, env) {
    const name = new URL(request.url).host.split(".")[0];
    const params = { customer_name: name, url: request.url };
    try {
      const worker = env.dispatcher.get(name, {}, { outbound: { params_object: params } });
      return await worker.fetch(request);
    } catch (e) {
      if (e.message.startsWith("Worker not found")) return new Response("", { status: 404 });
      return new Response(`${e.name}: ${e.message}`, { status: 500 });
    }
  },
};
