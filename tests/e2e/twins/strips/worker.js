export default {
  fetch(request) {
    const stripped = new Request(request);
    stripped.headers.delete("x-sluice-hops");
    return fetch(stripped);
  },
};
