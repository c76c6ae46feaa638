// Fetches while it loads, which no Worker may.
await fetch("https://origin.test/");

export default { fetch: () => new Response("never") };
