// Prints at every level, and things that are not text.
export default {
  fetch() {
    console.debug("a debug line");
    console.log("text", 1, true, null, undefined, 10n);
    console.info({ nested: { list: [1, "two"] } });
    console.warn(new Map([["key", new Set([1])]]));
    console.error(new RangeError("an error"));
    console.log("%s is %d", "format", 5);
    console.log("two\nlines");
    return new Response("printed");
  },
};
