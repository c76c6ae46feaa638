export default {
  async fetch(request) {
    await scheduler.wait(Math.random() * 5);
    return fetch(request.headers.get("x-url"));
  },
};
