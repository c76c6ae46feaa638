"""What the three services share, in layers; each imports only from those above it.

- `pb`        generated stubs of `protos/`
- `wire`      HTTP messages as values, to protobuf and back; the error table. No I/O
- `http1`     HTTP/1.1 on sockets, over llhttp: the server and the client
- `http2`     HTTP/2 on sockets, as far as gRPC needs it: the server's end and the client's
- `rpc`       gRPC on it: the server, the link to a peer, the call
- `mesh`      being a gRPC service: serve, dial, exchange, errors, environment, tracing, logs
- `isolate`   owning Worker processes: workerd and CPython, sandboxes, the pool, invocations
- `bundle`    a Worker's files and settings: wrangler configs, modules, digest
- `registry`  namespaces, Workers and versions: the store, and the client of it
- `cli`       the `sluice` command
"""
