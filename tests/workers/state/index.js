// Keeps state in its module, which another Worker with the same code must not see.
let count = 0;
globalThis.shared ??= [];

export default {
  fetch(request) {
    globalThis.shared.push(new URL(request.url).hostname);
    return Response.json([++count, globalThis.shared]);
  },
};
