// Bindings without a handler's argument, at the top level too.
import { env, waitUntil, withEnv } from "cloudflare:workers";

const atTopLevel = env.TEXT;
const elsewhere = async () => (await scheduler.wait(1), env.JSON_VALUE.a);

export default {
  async fetch(request, given) {
    waitUntil(scheduler.wait(5).then(() => fetch("https://log.test/" + env.TEXT)));
    return Response.json({
      atTopLevel,
      later: await elsewhere(),
      same: env.TEXT === given.TEXT,
      names: Object.keys(given).sort(),
      scoped: withEnv({ TEXT: "scoped" }, () => env.TEXT),
    });
  },
};
