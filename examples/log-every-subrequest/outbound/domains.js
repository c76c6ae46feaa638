/** Whether a host is one of these domains, or below one. */
export function isWithin(host, domains) {
  const name = host.replace(/\.$/, ""); // "miner.example." is the same host
  return domains.some((domain) => name === domain || name.endsWith(`.${domain}`));
}
