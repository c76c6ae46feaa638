// The trusted isolate of a user Worker's process, and the only holder of the way out.
//
// The user's isolate has no outbound of its own. For each request the gate hands it an Egress stub
// whose props, which user code cannot read, hold the invocation's token; workerd refuses the stub
// in any other request. So a subrequest's token is the token of the request that made it.
import { WorkerEntrypoint } from "cloudflare:workers";

const TOKEN = "x-sluice-token";
const CALL = "x-sluice-call";
const ERROR = "x-sluice-error";
const MAX_HEADERS = 256; // workerd itself dies of tens of thousands
// What workerd says of code that does not run, and of a date or flag that it does not know.
const NOT_LOADED =
  /^(Failed to start Worker|This Worker requires compat|No such compat|(The c|C)ompatibility flag)/;

const failure = (kind, error) =>
  new Response(null, {
    status: 500,
    headers: {
      [ERROR]: JSON.stringify({ kind, name: error.name, message: error.message.slice(0, 2048) }).replace(
        /[\u007f-\uffff]/g,
        (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"),
      ),
    },
  });

export class Egress extends WorkerEntrypoint {
  fetch(request) {
    let count = 0;
    for (const _ of request.headers) {
      if (++count > MAX_HEADERS) {
        return failure("exception", new TypeError(`A request may have at most ${MAX_HEADERS} headers.`));
      }
    }
    const headers = new Headers(request.headers);
    headers.set(TOKEN, this.ctx.props.token);
    return fetch(request, { headers });
  }
}

const loadUser = (env) => ({
  ...env.WORKER,
  modules: Object.fromEntries(
    env.MODULES.map(({ name, kind, binding }) => [name, { [kind]: env[binding] }]),
  ),
  globalOutbound: null,
});

export default {
  async fetch(request, env, ctx) {
    const headers = new Headers(request.headers);
    const token = headers.get(TOKEN);
    const { props = {}, method } = JSON.parse(headers.get(CALL) ?? "{}");
    headers.delete(TOKEN);
    headers.delete(CALL);
    try {
      const worker = env.LOADER.get("user", () => loadUser(env));
      const user = worker.getEntrypoint("Entry", {
        props: { egress: ctx.exports.Egress({ props: { token } }), props, method },
      });
      return await user.fetch(request, { headers });
    } catch (error) {
      const isLoad = NOT_LOADED.test(error.message);
      return failure(isLoad ? "load" : "exception", error);
    }
  },
};
