// Evaluated before a service-worker script, whose bindings are globals.
import { env } from "cloudflare:workers";
import { defineGlobals } from "./__sluice_shim.js";

defineGlobals(env);
