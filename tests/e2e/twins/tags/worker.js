// Says to the origin who the customer is.
export default {
  fetch(request, env) {
    const headers = new Headers(request.headers);
    headers.set("x-customer", env.customer_name ?? "none");
    return fetch(new Request(request, { headers }));
  },
};
