export { default, double } from "./numbers.mjs";
export { double as renamed } from "./numbers.mjs";
export * from "./numbers.mjs";
