// Reports each subrequest that it sees, and passes it on as it is. A path `/outbound/...` asks for
// something else.
const answers = {
  "/outbound/throw": () => {
    throw new RangeError("blocked by policy");
  },
  "/outbound/answer": () => new Response("from the Outbound Worker", { status: 418 }),
  "/outbound/stream": (request) => new Response(request.body, { headers: { "x-kind": "echo" } }),
  "/outbound/no-response": () => undefined,
  "/outbound/error": () => Response.error(),
  "/outbound/used": async () => {
    const response = new Response("once");
    await response.text();
    return response;
  },
};

export default {
  async fetch(request, env) {
    if (request.url === env.REPORT) return fetch(request);
    const { method, url, redirect } = request;
    const seen = { who: "outbound", method, url, redirect, headers: [...request.headers] };
    await fetch(env.REPORT, { method: "POST", body: JSON.stringify(seen) });
    const answer = answers[new URL(url).pathname];
    return answer ? answer(request) : fetch(request);
  },
};
