export default {
  fetch(request, env) {
    return Response.json([env.customer_name, env.params_object.customer_name, env.KEY]);
  },
};
