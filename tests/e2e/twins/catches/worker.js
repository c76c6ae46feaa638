export default {
  async fetch(request, env) {
    try {
      return await fetch(env.URL);
    } catch (e) {
      return Response.json([e.name, e.message, e instanceof TypeError]);
    }
  },
};
