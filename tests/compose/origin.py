"""An origin in a container: says what it has seen, and returns each datagram."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import DatagramRequestHandler, ThreadingUDPServer

ADDRESS = ("0.0.0.0", 8000)


datagrams: list[str] = []
"""Who sent them."""


class Mirror(BaseHTTPRequestHandler):
    """Answers with the request's path and headers, and who sent datagrams so far, as JSON."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = {"path": self.path, "headers": headers, "datagrams": datagrams}
        body = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Echo(DatagramRequestHandler):
    """Returns what it gets, and remembers from whom."""

    def handle(self) -> None:
        """Return it."""
        datagrams.append(self.client_address[0])
        self.wfile.write(self.rfile.read())


if __name__ == "__main__":
    threading.Thread(target=ThreadingUDPServer(ADDRESS, Echo).serve_forever, daemon=True).start()
    ThreadingHTTPServer(ADDRESS, Mirror).serve_forever()
