"""Dispatch Workers of attacks."""

from __future__ import annotations

from sluice.pb import worker_pb2
from tests.e2e.mesh import dispatch_bundle

_WITH_LIMITS = """export default { async fetch(request, env) {
  const name = new URL(request.url).host.split('.')[0];
  try { return await env.dispatcher.get(name, {}, { limits: { cpuMs: 1000, subRequests: 5 } }).fetch(request) }
  catch (e) { return new Response(e.name + ': ' + e.message, { status: 500 }) } } }"""


def limiting_dispatcher() -> worker_pb2.Bundle:
    """It runs Workers with small limits and no Outbound Worker, and answers with what they throw."""
    return dispatch_bundle(_WITH_LIMITS, outbound_service="", outbound_parameters=[])
