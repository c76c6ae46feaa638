// A Worker whose default export is an object: a method gets one argument, then env and ctx.
export default {
  fetch: () => new Response("over fetch"),
  greet(name, env, ctx) {
    return [this === undefined, name, env.GREETING, ctx.props];
  },
  constant: 1,
};
