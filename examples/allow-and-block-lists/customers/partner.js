// The same Worker, for a customer that may reach more.
export { default } from "./preview.js";
