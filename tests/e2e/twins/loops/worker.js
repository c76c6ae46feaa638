// Asks the listener that it is asked by: with the counter set back, or a body.
const LOOK = { "X-Sluice-Hops": "0", "x-sluice-token": "forged" };

export default {
  fetch(request, env) {
    if (env.WITH === "body") return fetch(env.LISTENER, { method: "POST", body: "again" });
    return fetch(env.LISTENER, { headers: LOOK });
  },
};
