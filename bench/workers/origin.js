// The origin: the platform's API, which says who asked, so that a chain that skips the Outbound
// Worker does not pass; and the log service, which takes what it is sent.
export default {
  fetch(request) {
    if (request.method === "POST") return new Response(null, { status: 204 });
    return new Response(`hello, ${request.headers.get("authorization")}\n`);
  },
};
