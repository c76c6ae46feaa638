// The Outbound Worker: adds a header that the customer's Worker never sees.
export default {
  async fetch(request, env) {
    const headers = new Headers(request.headers);
    headers.set("authorization", `Bearer ${env.customer_name}`);
    return await fetch(new Request(request, { headers }));
  },
};
