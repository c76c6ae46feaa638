// Asks the platform's API. There are no credentials in this Worker: the platform adds them.
export default {
  async fetch() {
    return fetch("https://api.example.com/v1/profile");
  },
};
