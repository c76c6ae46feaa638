"""The Workers of the soak, and their deployment."""

from __future__ import annotations

from sluice.cli.remote_registry import RemoteRegistry
from sluice.pb import worker_pb2

NAMESPACE = "production"
CUSTOMERS = tuple(f"customer-{number}" for number in range(4))
"""They behave."""

BREAKING = ("looping", "eating")
"""They break limits, and so the requests beside theirs."""

DEPLOYED = "deployed"
"""It gets new versions all the time."""

_DATE = "2026-01-01"

_DISPATCH = """export default { async fetch(request, env) {
  const url = new URL(request.url);
  const name = url.host.split(".")[0];
  const nonce = url.searchParams.get("nonce");
  const worker = env.dispatcher.get(name, { props: { nonce } }, {
    outbound: { params_object: { customer_name: name, nonce } },
    limits: JSON.parse(url.searchParams.get("limits") ?? "{}"),
  });
  try {
    if (url.pathname !== "/rpc") return await worker.fetch(request);
    return Response.json({ sum: await worker.add(1, Number(url.searchParams.get("n"))) });
  } catch (error) {
    return new Response(`${error.name}: ${error.message}`, { status: 500 });
  } } }"""

_OUTBOUND = """export default { async fetch(request, env) {
  const headers = new Headers(request.headers);
  headers.set("x-customer", env.customer_name);
  headers.set("x-param", env.nonce);
  return fetch(new Request(request, { headers })); } }"""

_CUSTOMER = """import { WorkerEntrypoint } from "cloudflare:workers";
const held = [];
export default class extends WorkerEntrypoint {
  add(a, b) { return a + b; }
  async fetch(request) {
    const url = new URL(request.url);
    const nonce = url.searchParams.get("nonce");
    const ask = (path, init = {}) => fetch(`ORIGIN${path}`,
      { ...init, headers: { ...init.headers, "x-nonce": nonce } });
    switch (url.pathname) {
      case "/plain":
        await Promise.all([ask("/plain"), ask("/plain")].map(async (r) => (await r).text()));
        return ask("/plain");
      case "/upload": return ask("/hash", { method: "POST", body: request.body });
      case "/download": return ask("/bytes" + url.search);
      case "/socket": return ask("/echo", { headers: { upgrade: "websocket" } });
      case "/redirect": return ask("/redirect");
      case "/slow": return ask("/slow");
      case "/later": this.ctx.waitUntil(ask("/slow")); return new Response(nonce);
      case "/version": return new Response("VERSION");
      case "/throw": throw new TypeError("thrown on purpose");
      case "/log": for (let n = 0; n < 500; n++) console.log(nonce, "x".repeat(n));
        return new Response(nonce);
      case "/flood": for (;;) await (await ask("/plain")).text();
      case "/loop": for (;;);
      case "/eat": for (;;) held.push(new Array(1e5).fill(held.length));
    }
    return new Response("no such path", { status: 404 });
  } }"""


async def deploy_all(registry: RemoteRegistry, origin: str) -> None:
    """Deploy everything."""
    dispatch = _bundle(_DISPATCH)
    dispatch.dispatch_namespaces.add(
        binding="dispatcher",
        dispatch_namespace=NAMESPACE,
        outbound_service="outbound",
        outbound_parameters=["params_object"],
    )
    await registry.create_namespace(NAMESPACE)
    await registry.put_worker(worker_pb2.Worker(name="dispatch"), dispatch)
    await registry.put_worker(worker_pb2.Worker(name="outbound"), _bundle(_OUTBOUND))
    for name in (*CUSTOMERS, *BREAKING, DEPLOYED):
        await deploy(registry, origin, name, version=0)


async def deploy(registry: RemoteRegistry, origin: str, name: str, version: int) -> None:
    """Give a customer a version that says its number."""
    source = _CUSTOMER.replace("ORIGIN", origin).replace("VERSION", str(version))
    worker = worker_pb2.Worker(dispatch_namespace=NAMESPACE, name=name)
    await registry.put_worker(worker, _bundle(source))


def _bundle(source: str) -> worker_pb2.Bundle:
    module = worker_pb2.Module(
        name="index.js", kind=worker_pb2.Module.KIND_ES_MODULE, content=source.encode()
    )
    return worker_pb2.Bundle(main_module=module.name, modules=[module], compatibility_date=_DATE)
