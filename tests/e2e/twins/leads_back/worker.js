// Leads every subrequest to the listener, and counts in the answers.
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    url.host = env.LISTENER;
    const response = await fetch(new Request(url, request));
    return new Response("left," + (await response.text()), response);
  },
};
