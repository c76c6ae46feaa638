// Streams made, split, piped and compressed in the Worker.
const read = (stream) => new Response(stream).text();

const upper = () =>
  new TransformStream({
    transform: (chunk, controller) => controller.enqueue(chunk.toUpperCase()),
    flush: (controller) => controller.enqueue("."),
  });

const chunks = (...texts) =>
  new ReadableStream({
    start(controller) {
      for (const text of texts) controller.enqueue(text);
      controller.close();
    },
  });

export default {
  async fetch(request) {
    switch (new URL(request.url).pathname) {
      case "/transform":
        return new Response(chunks("a", "b").pipeThrough(upper()).pipeThrough(new TextEncoderStream()));
      case "/tee": {
        const [one, two] = request.body.tee();
        return new Response((await read(one)) + "|" + (await read(two)));
      }
      case "/tee-subrequest": {
        const [one, two] = (await fetch("https://origin.test/")).body.tee();
        return new Response((await read(one)) + "|" + (await read(two)));
      }
      case "/gzip": {
        const packed = request.body.pipeThrough(new CompressionStream("gzip"));
        return new Response(packed.pipeThrough(new DecompressionStream("gzip")));
      }
      case "/byob": {
        const reader = request.body.getReader({ mode: "byob" });
        const { value } = await reader.readAtLeast(4, new Uint8Array(4));
        return new Response(value);
      }
      case "/echo":
        return new Response(request.body);
      case "/fixed": {
        const { readable, writable } = new FixedLengthStream(4);
        const writer = writable.getWriter();
        writer.write(new TextEncoder().encode("four"));
        writer.close();
        return new Response(readable);
      }
    }
  },
};
