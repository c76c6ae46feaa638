"""gRPC over `sluice.http2`, on the wire what any gRPC library speaks.

- `server`    serves the `method`s that generated code adds, each call with a `context`
- `link`      is the way to a peer, and makes each `call`; it and the context are a `conversation`
- `envelope`, `metadata`, `status`  what is on the wire

Not grpcio's own, because `grpc.aio` takes half of the mesh's CPU (docs/decisions.md). From grpcio
are the status codes, the generated code, and the services for health and reflection.

Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""
