import { Buffer } from "node:buffer";
import { createHmac } from "node:crypto";
import { env } from "cloudflare:workers";

const LIFETIME = 300; // seconds

const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A JWT (RFC 7519, HS256) that tells the platform's APIs which customer a request is for. */
globalThis.make_jwt_for_customer = (customer_name) => {
  const now = Math.floor(Date.now() / 1000);
  const header = encoded({ alg: "HS256", typ: "JWT" });
  const claims = encoded({ sub: customer_name, iat: now, exp: now + LIFETIME });
  const signed = `${header}.${claims}`;
  const signature = createHmac("sha256", env.JWT_KEY).update(signed).digest("base64url");
  return `${signed}.${signature}`;
};
