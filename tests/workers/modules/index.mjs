// Every kind of module, imported every way.
import add, { double, renamed as twice } from "./lib/barrel.mjs";
import * as namespace from "./lib/numbers.mjs";
import bytes from "./lib/data.bin";
import settings from "./lib/settings.json";
import text from "./lib/text.txt";
import wasm from "./lib/add.wasm";
import common from "./lib/common.cjs";
import { counter, increment } from "./lib/live.mjs";

export default {
  async fetch() {
    increment();
    const lazy = await import("./lib/lazy.mjs");
    const again = await import("./lib/lazy.mjs");
    const name = "absent";
    const missing = await import(`./lib/${name}.mjs`).catch((error) => error.message);
    const { exports } = new WebAssembly.Instance(wasm);
    return Response.json({
      named: [add(1, 2), double(4), twice(5)],
      namespace: Object.keys(namespace),
      live: counter,
      data: [bytes instanceof ArrayBuffer, ...new Uint8Array(bytes)],
      json: settings,
      text,
      wasm: [wasm instanceof WebAssembly.Module, exports.add(40, 2)],
      common: common.answer,
      lazy: [lazy.default, lazy === again],
      missing: missing.includes("No such module"),
    });
  },
};
