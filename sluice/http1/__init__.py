"""HTTP/1.1 on asyncio transports: served and called, on unix sockets and TCP.

Bytes are parsed by llhttp (`httptools`); what it lets through and RFC 9112 does not is refused in
`fields`, `target` and the two readers. Both ends share how a body comes in (`incoming`) and goes
out (`outgoing`, `writer`).
"""
