// Uses up what the header x-uses says, or nothing.
const USES = {
  cpu() {
    for (;;);
  },
  memory() {
    const kept = [];
    for (;;) kept.push(new Array(1e6).fill(Math.random()));
  },
};

export default {
  fetch(request) {
    USES[request.headers.get("x-uses")]?.();
    return new Response("well");
  },
};
