"""HTTP/2 as gRPC needs it, for both ends of a connection (RFC 9113).

- `connection` speaks it over an asyncio transport; `ends` are the client's and the server's
- `stream`     is one exchange; what is said on it is its subclass's matter
- `frames`, `block`, `fields`, `settings`  what is on the wire
- `window`, `outbox`, `silence`, `limits`  what may wait, how much of it, and for how long
- `failure`    what can be wrong

No priorities, no server push, and no dynamic table for the header fields that are sent: a block
means the same whatever came before it. The far side may keep a table for its own.
"""
