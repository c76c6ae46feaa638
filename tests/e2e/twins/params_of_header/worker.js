export default {
  fetch(request, env) {
    const params_object = { customer_name: request.headers.get("x-value") };
    return env.dispatcher.get("acme", {}, { outbound: { params_object } }).fetch(request);
  },
};
