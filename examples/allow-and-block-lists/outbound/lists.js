/**
 * Why a host may not be reached, or null where it may. The rules, in order:
 *
 * 1. the platform's block list holds for everybody;
 * 2. so does a customer's own, for that customer;
 * 3. what is left must be on the customer's allow list, or without one on the platform's.
 */
export function refusal(host, { ALLOWED, BLOCKED, allow = ALLOWED, block = [] }) {
  if (isOn(BLOCKED, host)) return "blocked by the platform";
  if (isOn(block, host)) return "blocked for this customer";
  if (!isOn(allow, host)) return "not on the allow list";
  return null;
}

function isOn(list, host) {
  const name = host.replace(/\.$/, ""); // "tracker.example.net." is the same host
  return list.some((pattern) =>
    pattern.startsWith("*.") ? name.endsWith(pattern.slice(1)) : name === pattern,
  );
}
