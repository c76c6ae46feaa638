// Passes what JSON cannot carry, or too much of it.
const cycle = {};
cycle.cycle = cycle;
const VALUES = {
  function: { f() {} },
  number: 1n,
  cycle,
  long: "x".repeat(17000),
  deep: JSON.parse("[".repeat(40) + "]".repeat(40)),
};

export default {
  async fetch(request, env) {
    const value = VALUES[request.headers.get("x-value")];
    const worker = env.dispatcher.get("acme", {}, { outbound: { params_object: value } });
    try {
      return await worker.fetch(request);
    } catch (e) {
      return new Response(`${e.name} ${e.message}`, { status: 500 });
    }
  },
};
