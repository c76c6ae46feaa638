export default {
  fetch(request, env) {
    return env.dispatcher.get("acme").fetch(request);
  },
};
