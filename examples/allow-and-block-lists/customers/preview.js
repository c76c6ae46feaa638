// A link preview: fetches whatever URL its visitor names.
export default {
  async fetch(request) {
    const page = await fetch(new URL(request.url).searchParams.get("of"));
    return new Response(page.body, { status: page.status });
  },
};
