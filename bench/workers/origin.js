// The origin: says who asked, so that a chain that skips the Outbound Worker does not pass.
export default {
  fetch(request) {
    return new Response(`hello, ${request.headers.get("authorization")}\n`);
  },
};
