// Waits while it loads, for what needs no I/O.
import { value } from "./value.js";

const first = await new Promise((resolve) => queueMicrotask(() => resolve("first")));

export default { fetch: () => Response.json([first, value]) };
