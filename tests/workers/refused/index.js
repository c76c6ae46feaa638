// What a Worker may not do. Each answer is the refusal.
import { connect } from "cloudflare:sockets";

const attempts = {
  "caches.default.match": () => caches.default.match("http://a.test/"),
  "caches.default.put": () => caches.default.put("http://a.test/", new Response("")),
  "caches.open": async () => (await caches.open("own")).match("http://a.test/"),
  connect: async () => (await connect("192.0.2.1:80").opened).remoteAddress,
  "connect.tls": async () => (await connect("192.0.2.1:443", { secureTransport: "on" }).opened).remoteAddress,
  eval: () => eval("1"),
  "new Function": () => new Function("return 1")(),
  "import https": () => import("https://a.test/x.js"),
  "import file": () => import("/etc/passwd"),
  "fetch relative": () => fetch("/a"),
  "fetch file": () => fetch("file:///etc/passwd"),
  "fetch ftp": () => fetch("ftp://a.test/"),
};

export default {
  async fetch() {
    const answers = {};
    for (const [name, attempt] of Object.entries(attempts)) {
      try {
        answers[name] = `done: ${await attempt()}`;
      } catch (error) {
        answers[name] = `${error.name}: ${error.message}`;
      }
    }
    return Response.json(answers);
  },
};
