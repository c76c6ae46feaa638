// Answers what comes back, and how many requests this process has had.
let count = 0;

export default {
  async fetch(request) {
    count += 1;
    const response = await fetch(request.headers.get("x-url"));
    return new Response(`${await response.text()} ${count}`);
  },
};
