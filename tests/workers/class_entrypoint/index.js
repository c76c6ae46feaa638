// A class as default export: a new instance for each request.
import { WorkerEntrypoint } from "cloudflare:workers";

class Base extends WorkerEntrypoint {
  count = 0;
  describe() {
    return [++this.count, Object.keys(this.env), this.ctx.props, typeof this.ctx.waitUntil];
  }
}

export default class extends Base {
  constructor(ctx, env) {
    super(ctx, env);
    this.made = true;
  }
  async fetch(request) {
    this.ctx.waitUntil(fetch("https://log.test/"));
    return Response.json([...this.describe(), this.made, new URL(request.url).pathname]);
  }
}

export class Named extends WorkerEntrypoint {}
