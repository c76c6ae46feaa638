"""Names of span attributes and of log fields: every one that Sluice writes.

OpenTelemetry's names are spelled out here because its package holds them under `_incubating`
and still moves them: `rpc.system` became `rpc.system.name`.
"""

from __future__ import annotations

# HTTP and RPC spans (OpenTelemetry semantic conventions)
HTTP_METHOD = "http.request.method"
HTTP_STATUS = "http.response.status_code"
URL_FULL = "url.full"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"
RPC_SYSTEM = "rpc.system.name"
RPC_METHOD = "rpc.method"
COLD_START = "faas.coldstart"

# Sluice's own spans
SLUICE_NAMESPACE = "sluice.dispatch_namespace"
SLUICE_WORKER = "sluice.worker"
SLUICE_OUTBOUND_WORKER = "sluice.outbound_worker"
SLUICE_DECISION = "sluice.decision"
SLUICE_CANCELLED = "sluice.cancelled"

# The canonical line of a subrequest
TRACE_ID = "trace_id"
INVOCATION_ID = "invocation_id"
DISPATCH_NAMESPACE = "dispatch_namespace"
WORKER = "worker"
OUTBOUND_WORKER = "outbound_worker"
METHOD = "method"
URL = "url"
DECISION = "decision"
REASON = "reason"
DETAIL = "detail"
POLICY = "policy"
STATUS = "status"
BYTES_SENT = "bytes_sent"
BYTES_RECEIVED = "bytes_received"
DURATION_MS = "duration_ms"
