// A frozen object whose handlers use `this`.
export default Object.freeze({
  greeting: "hello",
  fetch(request, env, ctx) {
    return Response.json({
      this: this.greeting,
      arguments: arguments.length,
      exports: typeof ctx.exports,
      props: ctx.props,
      detached: typeof (({ waitUntil }) => waitUntil)(ctx),
    });
  },
});
