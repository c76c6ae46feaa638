// The seed's Outbound Worker is index.js, as it stands. It calls make_jwt_for_customer, the
// platform's own function, as a global.
import "./jwt.js";

export { default } from "./index.js";
