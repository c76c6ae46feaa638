export default {
  fetch(request) {
    if (request.headers.has("x-sluice-hops")) throw new Error("seen");
    return fetch(request.headers.get("x-url"));
  },
};
