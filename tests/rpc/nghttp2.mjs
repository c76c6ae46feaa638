// A client by Node's http2, which is nghttp2: `node nghttp2.mjs PORT PATH TIMES MESSAGE`, the message
// in base64. Prints how often each answer came: HTTP status, gRPC status, message, data in base64.
import http2 from "node:http2";

const [port, path, times, message] = process.argv.slice(2);
const body = Buffer.from(message, "base64");
const prefix = Buffer.alloc(5);
prefix.writeUInt32BE(body.length, 1);
const session = http2.connect(`http://127.0.0.1:${port}`);

const call = (number) => new Promise((resolve, reject) => {
  const request = session.request({
    ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers",
    "user-agent": "node", "x-number": String(number),
  });
  let end = {};
  const parts = [];
  request.on("response", (head) => { end = { ...head }; });
  request.on("trailers", (trailers) => { end = { ...end, ...trailers }; });
  request.on("data", (data) => parts.push(data));
  request.on("error", reject);
  request.on("close", () => resolve(JSON.stringify([
    end[":status"], end["grpc-status"], end["grpc-message"] ?? "",
    Buffer.concat(parts).toString("base64"),
  ])));
  request.end(Buffer.concat([prefix, body]));
});

const counts = {};
for (const answer of await Promise.all([...Array(Number(times)).keys()].map(call)))
  counts[answer] = (counts[answer] ?? 0) + 1;
console.log(JSON.stringify(counts));
session.close();
