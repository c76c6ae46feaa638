// Tells the log service of every subrequest: who made it, where it went, what came of it.
import { isWithin } from "./domains.js";

export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    const record = {
      customer: env.customer,
      request_id: env.request_id,
      method: request.method,
      url: url.origin + url.pathname, // a query may hold secrets of the customer
      watched: isWithin(url.hostname, env.WATCHED_DOMAINS),
    };
    if (record.watched) console.warn(`${env.customer} talks to ${url.hostname}`);

    const start = Date.now();
    try {
      const response = await fetch(request);
      record.status = response.status;
      return response;
    } catch (error) {
      record.error = error.message;
      throw error; // the customer's fetch() fails as it would without us
    } finally {
      record.milliseconds = Date.now() - start;
      ctx.waitUntil(log(env.LOG_SERVICE, record)); // the customer does not wait for it
    }
  },
};

async function log(service, record) {
  try {
    const response = await fetch(service, { method: "POST", body: JSON.stringify(record) });
    if (!response.ok) throw new Error(`the log service says ${response.status}`);
  } catch (error) {
    console.error(`not logged: ${error.message}: ${JSON.stringify(record)}`);
  }
}
