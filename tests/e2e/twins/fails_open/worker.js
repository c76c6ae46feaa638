export default {
  fetch(request, env, ctx) {
    ctx.passThroughOnException();
    throw new Error("on it goes");
  },
};
