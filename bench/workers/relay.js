export default {
  async fetch() {
    return fetch("http://origin.example/");
  },
};
