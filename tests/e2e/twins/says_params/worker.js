export default {
  fetch(request, env) {
    return Response.json({
      seen: env.params_object ?? null,
      has: "params_object" in env,
      other: env.other ?? null,
    });
  },
};
