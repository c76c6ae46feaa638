// The same Worker, for a customer that may reach less.
export { default } from "./preview.js";
