// Makes two subrequests at once.
export default {
  async fetch() {
    const [news, click] = await Promise.all([
      fetch("https://news.example.com/headlines?token=only-for-the-news"),
      fetch("https://links.example.com/clicks", { method: "POST", body: "/sale" }),
    ]);
    return Response.json({ news: news.status, click: click.status });
  },
};
