export default {
  fetch(request, env, ctx) {
    return Response.json(ctx.props);
  },
};
