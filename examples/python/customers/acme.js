// Turns somebody else's headlines into a numbered list.
export default {
  async fetch() {
    const response = await fetch("https://news.example.com/headlines");
    const { headlines } = await response.json();
    return new Response(headlines.map((line, i) => `${i + 1}. ${line}`).join("\n"));
  },
};
