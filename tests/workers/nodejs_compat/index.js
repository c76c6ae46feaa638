// Node's modules, and a subrequest by node:http.
import assert from "node:assert";
import { AsyncLocalStorage } from "node:async_hooks";
import { Buffer } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import { EventEmitter, once } from "node:events";
import http from "node:http";
import path from "path";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { gunzipSync, gzipSync } from "node:zlib";

const own = new AsyncLocalStorage();

const get = (url) =>
  new Promise((resolve, reject) =>
    http
      .get(url, (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk) => (text += chunk));
        response.on("end", () => resolve(text));
      })
      .on("error", reject),
  );

export default {
  async fetch(request) {
    const emitter = new EventEmitter();
    const heard = once(emitter, "said");
    emitter.emit("said", 1);
    const kept = await own.run("mine", async () => {
      await sleep(1);
      await fetch("http://origin.test/in-als");
      return own.getStore();
    });
    assert.equal(randomBytes(8).length, 8);
    return Response.json({
      buffer: Buffer.from("é").toString("hex"),
      hash: createHash("sha256").update("abc").digest("hex").slice(0, 8),
      event: await heard,
      util: inspect({ a: [1] }),
      path: path.join("/a", "../b"),
      zlib: gunzipSync(gzipSync("zip")).toString(),
      env: process.env.PLAN,
      als: [kept, own.getStore() ?? null],
      http: await get("http://origin.test/by-node?" + new URL(request.url).search.slice(1)),
    });
  },
};
