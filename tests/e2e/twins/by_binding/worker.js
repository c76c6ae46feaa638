// The host's first label is the binding.
export default {
  fetch(request, env) {
    const name = new URL(request.url).host.split(".")[0];
    return env[name].get("acme").fetch(request);
  },
};
