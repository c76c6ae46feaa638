// A customer's Worker: one subrequest, whose response it passes on.
export default {
  async fetch(request, env) {
    return await fetch(`${env.ORIGIN}/hello`);
  },
};
