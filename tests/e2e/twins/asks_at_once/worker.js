export default {
  async fetch(request) {
    const urls = JSON.parse(request.headers.get("x-ask"));
    const texts = urls.map(async (url) => (await fetch(url)).text());
    return Response.json(await Promise.all(texts));
  },
};
