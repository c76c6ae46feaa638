// The dispatch Worker: the subdomain names the user Worker, and goes along as a param.
export default {
  async fetch(request, env) {
    const name = new URL(request.url).host.split(".")[0];
    const params_object = { customer_name: name, url: request.url };
    const userWorker = env.dispatcher.get(name, {}, { outbound: { params_object } });
    return await userWorker.fetch(request);
  },
};
