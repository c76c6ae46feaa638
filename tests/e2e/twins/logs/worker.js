// Logs to another origin when it has answered.
export default {
  fetch(request, env, ctx) {
    const log = { method: "POST", body: `${env.customer_name} ${request.url}` };
    ctx.waitUntil(fetch(request.headers.get("x-log"), log));
    return new Response("answered");
  },
};
