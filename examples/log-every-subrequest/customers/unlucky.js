// Fetches from a host that cannot be reached.
export default {
  async fetch() {
    try {
      await fetch("https://gone.example.com/");
    } catch (error) {
      return new Response(error.message, { status: 502 });
    }
  },
};
