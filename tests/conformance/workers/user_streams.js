// Bodies that are still being written, cut short, or not wanted any more.
const encoder = new TextEncoder();
const tick = (ms) => scheduler.wait(ms);

/** Echoes the request's body as it comes. */
export const s_echo = ({ request }) => new Response(request.body);

/** Two pieces, the second when the client asks the origin to say so. */
export const s_events = ({ env }) => {
  const { readable, writable } = new TransformStream();
  const write = async () => {
    const writer = writable.getWriter();
    for (let number = 0; number < 3; number++) {
      await fetch(`${env.ORIGIN}/gate/${number}`);
      await writer.write(encoder.encode(`data: ${number}\n\n`));
    }
    await writer.close();
  };
  return [new Response(readable, { headers: { "content-type": "text/event-stream" } }), write()][0];
};

/** A response whose body the Worker breaks off. */
export const s_error = () =>
  new Response(
    new ReadableStream({
      async pull(controller) {
        controller.enqueue(encoder.encode("beginning"));
        await tick(10);
        controller.error(new Error("broken off"));
      },
    }),
  );

/** Aborts its subrequest when the origin has it, and says what was thrown. */
export const s_abort = async ({ env }) => {
  const controller = new AbortController();
  const asked = fetch(`${env.ORIGIN}/slow`, { signal: controller.signal });
  await tick(100);
  controller.abort();
  return asked.then(
    () => new Response("no error"),
    (error) => new Response(`${error.name}: ${error.message}`),
  );
};

/** Aborts within the body. */
export const s_abort_body = async ({ env }) => {
  const controller = new AbortController();
  const response = await fetch(`${env.ORIGIN}/slow`, { signal: controller.signal });
  const reader = response.body.getReader();
  const first = new TextDecoder().decode((await reader.read()).value);
  controller.abort();
  const rest = await reader.read().then(
    () => "no error",
    (error) => `${error.name}: ${error.message}`,
  );
  return new Response(`${first}|${rest}`);
};

/** Cancels the body of its subrequest after the first piece. */
export const s_cancel_body = async ({ env }) => {
  const reader = (await fetch(`${env.ORIGIN}/slow`)).body.getReader();
  const first = new TextDecoder().decode((await reader.read()).value);
  await reader.cancel();
  return new Response(first);
};

/** What reading a response says that the origin cuts short. */
export const s_see_cut_response = async ({ env }) => {
  const response = await fetch(env.ORIGIN);
  return response.text().then(
    (text) => new Response(`whole: ${text}`),
    (error) => new Response(`${error.name}: ${error.message}`),
  );
};

/** Waits until its client has left. */
export const s_client_leaves = ({ request, env, ctx, report }) => {
  const left = new Promise((resolve) => request.signal.addEventListener("abort", resolve));
  ctx.waitUntil(left.then(() => report({ signal: "abort" })));
  return fetch(`${env.ORIGIN}/slow`);
};

/** Answers at once, and reads the request's body no further. */
export const s_early_answer = () => new Response("early", { status: 413 });
