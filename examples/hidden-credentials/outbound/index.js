// Adds the platform's credentials to requests for the platform's APIs. Nothing else gets them, and
// a customer can neither see them nor send its own in their place.
import { credentialFor } from "./credentials.js";

export default {
  async fetch(request, env) {
    const credential = credentialFor(new URL(request.url).origin, env);
    if (credential === null) return fetch(request);

    const headers = new Headers(request.headers);
    headers.delete("authorization");
    headers.set(credential.header, credential.value);
    headers.set("x-customer", env.customer); // so that the API knows whom to charge
    return fetch(new Request(request, { headers }));
  },
};
