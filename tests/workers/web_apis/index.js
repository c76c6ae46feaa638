// What a browser has, and a Worker too.
const hex = (buffer) => [...new Uint8Array(buffer)].map((b) => b.toString(16).padStart(2, "0")).join("");
const bytes = (text) => new TextEncoder().encode(text);

async function signed() {
  const key = await crypto.subtle.importKey("raw", bytes("key"), { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
  const signature = await crypto.subtle.sign("HMAC", key, bytes("message"));
  return crypto.subtle.verify("HMAC", key, signature, bytes("message"));
}

const rewritten = () =>
  new HTMLRewriter()
    .on("a[href]", {
      element(element) {
        element.setAttribute("href", element.getAttribute("href").replace("http:", "https:"));
        element.append("!");
      },
      text(chunk) {
        if (chunk.text) chunk.replace(chunk.text.toUpperCase());
      },
    })
    .transform(new Response('<p><a href="http://a.test/">link</a></p>'))
    .text();

function cloned() {
  const original = { date: new Date(0), map: new Map([[1, new Set([2])]]), bytes: new Uint8Array([3]) };
  original.self = original;
  const copy = structuredClone(original);
  return [copy !== original, copy.self === copy, copy.map.get(1).has(2), copy.bytes[0]];
}

export default {
  async fetch(request) {
    await scheduler.wait(20);
    const timeout = await new Promise((resolve) => setTimeout(resolve, 1, "fired"));
    return Response.json({
      digest: hex(await crypto.subtle.digest("SHA-256", bytes("abc"))).slice(0, 8),
      uuid: /^[0-9a-f]{8}-[0-9a-f]{4}-4/.test(crypto.randomUUID()),
      random: crypto.getRandomValues(new Uint8Array(4)).length,
      signed: await signed(),
      html: await rewritten(),
      clone: cloned(),
      pattern: new URLPattern({ pathname: "/:tenant/*" }).exec("http://a.test/acme/x")?.pathname.groups.tenant,
      base64: atob(btoa("text")),
      timeout,
      form: [...(await new Response(new URLSearchParams("a=1&a=2")).formData())],
      cf: request.cf ?? null,
      self: self === globalThis,
      agent: navigator.userAgent,
    });
  },
};
