export default {
  async fetch(request, env) {
    const marked = new Request(request);
    marked.headers.set("x-customer", env.customer);
    return fetch(marked);
  },
};
