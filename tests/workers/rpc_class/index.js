// A Worker with methods that a dispatch Worker calls.
import { WorkerEntrypoint } from "cloudflare:workers";

class Base extends WorkerEntrypoint {
  inherited() {
    return "from the base";
  }
}

export default class extends Base {
  ofTheInstance = () => "must not be reachable";
  #secret = 1;

  fetch() {
    return new Response("over fetch");
  }
  add(a, b) {
    return a + b;
  }
  echo(value) {
    return value;
  }
  async props() {
    return this.ctx.props;
  }
  nothing() {}
  field() {
    return this.#secret;
  }
  fails() {
    throw new RangeError("out of it");
  }
  uncloneable() {
    return new ReadableStream();
  }
  async fetches(url) {
    return (await fetch(url)).text();
  }
  later(url) {
    this.ctx.waitUntil(scheduler.wait(10).then(() => fetch(url)));
    return "before";
  }
  open() {
    this.ctx.passThroughOnException();
    throw new Error("a call has no origin to pass to");
  }
  get property() {
    return "read, not called";
  }
}
