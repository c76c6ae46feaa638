// Lets a subrequest through, or answers it with 403 and a reason. Every hop of a redirect comes here
// too, so an allowed host cannot lead on to a blocked one.
import { refusal } from "./lists.js";

export default {
  async fetch(request, env) {
    const host = new URL(request.url).hostname;
    const reason = refusal(host, env);
    if (reason === null) return fetch(request);

    console.warn(`${env.customer}: ${host} refused: ${reason}`);
    return Response.json({ error: "host refused", host, reason }, { status: 403 });
  },
};
