// The first part of the path is the customer.
export default {
  async fetch(request, env) {
    const [, customer] = new URL(request.url).pathname.split("/");
    return env.customers.get(customer, {}, { outbound: { customer } }).fetch(request);
  },
};
