"""Being a gRPC service: the same for all three.

- `process`  one as a process: configured by `env` and `settings`, of which `known` has the names
- `server`   listen, drain; `health` says how it is, `probe` asks
- `channel`  dial a peer, or link to it; `tls` and `roles` say who it is, and who may call what
- `pair`     an HTTP exchange as RPCs: `caller` at one end, `served` at the other
- `parts`    its messages, read; a `websocket` on its streams
- `errors`   `SluiceError` to a gRPC status and back
- `tracing`  each `span`, sent off by `otlp`; a `collector` that keeps them for people
- `logs`     JSON lines, by `line_writer`; `attributes` names what is in logs and spans
- `address_range`, `connect_to`  what operators say of addresses, to a service or to the command
"""

import os

# gRPC reads it at import. Isolates are started by fork and exec, for which its handlers do nothing
# but print that they were skipped.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
