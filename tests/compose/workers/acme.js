export default {
  async fetch() {
    return fetch("http://origin:8000/from-acme", { headers: { "x-customer": "someone else" } });
  },
};
