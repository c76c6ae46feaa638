"""HTTP/1.1 on sockets, over llhttp."""
