// Responses that the user Worker makes itself, one handler a kind.
const text = (value) => new TextEncoder().encode(value);
const stream = (...pieces) =>
  new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(text(piece));
      controller.close();
    },
  });

/** What of a request the Worker sees, as the response; `connection` is of the client's connection. */
export async function see({ request }) {
  const { method, url, redirect } = request;
  const headers = [...request.headers].filter(([name]) => name !== "connection");
  const hasBody = request.body !== null;
  const body = await request.text();
  return Response.json({ method, url, redirect, headers, hasBody, body });
}
/** The bytes of the body, as numbers. */
export const see_bytes = async ({ request }) =>
  Response.json([...new Uint8Array(await request.arrayBuffer())]);
export const see_form = async ({ request }) =>
  Response.json(
    await Promise.all(
      [...(await request.formData())].map(async ([name, value]) => [
        name,
        typeof value === "string" ? value : [value.name, value.type, await value.text()],
      ]),
    ),
  );
export const see_cf = ({ request }) => Response.json({ cf: request.cf ?? null });

export const a_text = () => new Response("text");
export const a_json = () => Response.json({ a: [1, "é"] });
export const a_bytes = () => new Response(new Uint8Array([0, 255, 10, 13]));
export const a_buffer = () => new Response(new Uint8Array([1, 2, 3]).buffer);
export const a_blob = () => new Response(new Blob(["<p>"], { type: "text/html" }));
export const a_blob_untyped = () => new Response(new Blob(["x"]));
export const a_search = () => new Response(new URLSearchParams({ a: "b c", d: "é" }));
export const a_form = async () => {
  const form = new FormData();
  form.append("name", "value");
  form.append("file", new File(["content"], "f.txt", { type: "text/plain" }));
  const copy = await new Response(form).formData(); // the boundary is random
  const type = new Response(form).headers.get("content-type").replace(/=.*/, "=");
  return Response.json({ type, names: [...copy.keys()], file: await copy.get("file").text() });
};
export const a_null = () => new Response(null);
export const a_nothing = () => new Response();
export const a_empty = () => new Response("");
export const a_stream = () => new Response(stream("one", "two", "three"));
export const a_stream_empty = () => new Response(stream());
export const a_stream_typed = () =>
  new Response(stream("data"), { headers: { "content-type": "text/plain" } });
export const a_stream_length = () => {
  const { readable, writable } = new FixedLengthStream(5);
  const writer = writable.getWriter();
  writer.write(text("12345")).then(() => writer.close());
  return new Response(readable);
};
export const a_stream_short = ({ ctx }) => {
  const { readable, writable } = new FixedLengthStream(10);
  const writer = writable.getWriter();
  ctx.waitUntil(
    writer
      .write(text("12345"))
      .then(() => writer.close())
      .catch(() => {}),
  );
  return new Response(readable);
};
export const a_transform = () => {
  const upper = new TransformStream({
    transform: (chunk, controller) => controller.enqueue(text(String.fromCharCode(...chunk).toUpperCase())),
  });
  return new Response(stream("abc", "def").pipeThrough(upper));
};
export const a_gzip = () =>
  new Response(stream("compressed ".repeat(50)).pipeThrough(new CompressionStream("gzip")), {
    headers: { "content-encoding": "gzip" },
    encodeBody: "manual",
  });
export const a_gzip_auto = () =>
  new Response("compressed ".repeat(50), { headers: { "content-encoding": "gzip" } });
export const a_big = () => new Response("0123456789abcdef".repeat(65536));
export const a_status = ({ request }) =>
  new Response(null, { status: Number(new URL(request.url).pathname.slice(1)) });
export const a_status_body = ({ request }) =>
  new Response("body", { status: Number(new URL(request.url).pathname.slice(1)) });
export const a_status_text = () => new Response("x", { status: 200, statusText: "Very Fine" });
export const a_redirect = () => Response.redirect("https://example.com/a?b=c#d", 307);
export const a_redirect_relative = () => Response.redirect("/relative", 302);
export const a_error = () => Response.error();
export const a_cookies = () => {
  const headers = new Headers();
  headers.append("set-cookie", "a=1; Path=/");
  headers.append("set-cookie", "b=2, with a comma");
  headers.append("set-cookie", "a=3");
  headers.append("x-many", "1");
  headers.append("x-many", "2");
  return new Response("", { headers });
};
export const a_cache = () =>
  new Response("x", {
    headers: {
      "cache-control": "public, max-age=60",
      etag: '"abc"',
      "last-modified": "Mon, 01 Jan 2024 00:00:00 GMT",
      vary: "accept-encoding",
      age: "5",
      expires: "0",
    },
  });
export const a_headers = () =>
  new Response("x", {
    headers: {
      "x-latin": "caf\u00e9",
      "x-empty": "",
      "X-Case": "Kept Value",
      "x-tab": "a\tb",
      "x-spaces": "  trimmed  ",
      "x-quotes": '"a\\"b", c;d=e',
      "x-long": "l".repeat(8000),
    },
  });
export const a_header_utf8 = () => new Response("x", { headers: { "x-utf8": "\u20ac" } });
export const a_own_framing = () =>
  new Response("four", { headers: { "content-length": "9", "transfer-encoding": "chunked" } });
export const a_own_date = () =>
  new Response("x", { headers: { server: "mine", via: "1.1 me", "x-powered-by": "a" } });
export const a_clone = async () => {
  const response = new Response(stream("twice"), { headers: { "x-a": "1" } });
  const copy = response.clone();
  return new Response(`${await response.text()} ${await copy.text()}`, copy);
};
export const a_request_clone = async ({ request }) => {
  const copy = request.clone();
  return new Response(`${await request.text()} ${await copy.text()} ${copy.method}`);
};
export const a_body_used = async ({ request }) => {
  await request.text();
  const again = await request.text().catch((error) => `${error.name}: ${error.message}`);
  return new Response(again);
};
export const a_throw = () => {
  throw new RangeError("out of it");
};
export const a_throw_custom = () => {
  class TeapotError extends Error {
    name = "TeapotError";
  }
  throw new TeapotError("short and stout \u2603");
};
export const a_throw_string = () => {
  throw "just text";
};
export const a_throw_later = async () => {
  await scheduler.wait(1);
  throw new TypeError("later");
};
export const a_reject_null = () => Promise.reject(null);
export const a_no_response = () => undefined;
export const a_not_response = () => "text";
export const a_range = ({ request }) =>
  new Response("bcd", {
    status: 206,
    headers: { "content-range": `bytes 1-3/5`, "x-range": request.headers.get("range") },
  });
export const a_wait_until = ({ ctx, report }) => {
  ctx.waitUntil(scheduler.wait(20).then(() => report({ did: "waitUntil" })));
  return new Response("before");
};
export const a_pass_through = ({ ctx }) => {
  ctx.passThroughOnException();
  return new Response("no exception");
};
export const a_used_body = async () => {
  const response = new Response("once");
  await response.text();
  return response;
};
