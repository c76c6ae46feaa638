// The user Worker: the first label of the host names the handler, so that nothing of the request
// itself is spent on saying which.
import * as answers from "./user_answers.js";
import * as fetches from "./user_fetches.js";
import * as streams from "./user_streams.js";

const handlers = { ...answers, ...fetches, ...streams };

export default {
  async fetch(request, env, ctx) {
    const name = new URL(request.url).hostname.split(".")[0].replaceAll("-", "_");
    const report = (fields) =>
      fetch(env.REPORT, { method: "POST", body: JSON.stringify({ who: "user", ...fields }) });
    if (!handlers[name]) throw new Error(`no handler ${name}`);
    return handlers[name]({ request, env, ctx, report });
  },
};
