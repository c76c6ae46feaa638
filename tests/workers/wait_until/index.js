// Works on after its response.
export default {
  fetch(request, env, ctx) {
    const work = async (name, wait) => {
      await wait;
      await fetch("https://log.test/" + name);
    };
    ctx.waitUntil(work("promise", scheduler.wait(5)));
    ctx.waitUntil(new Promise((resolve) => setTimeout(() => resolve(work("timer")), 10)));
    ctx.waitUntil(Promise.reject(new Error("in the background")));
    const { readable, writable } = new TransformStream();
    ctx.waitUntil(
      (async () => {
        const writer = writable.getWriter();
        await writer.write(new TextEncoder().encode("streamed"));
        await writer.close();
        await work("after the stream");
      })(),
    );
    return new Response(readable);
  },
};
