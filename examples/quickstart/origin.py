"""The examples' own internet: one server on loopback that stands for every host they talk to.

`sluice dev` is told to connect there instead (`--connect-to`) and to trust its authority
(`SSL_CERT_FILE`), which is made for the occasion. Nothing leaves the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import hmac
import json
import ssl
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trustme
from aiohttp import web

JWT_KEY = "demo-key-not-a-secret"
"""What the quickstart's Outbound Worker has as its secret (`outbound/.dev.vars`)."""

MAX_BODY = 64 * 1024

SHOWN = ("authorization", "x-api-key", "x-customer")
"""Headers that are printed with a request."""


@dataclass(frozen=True)
class Received:
    """One request, as it came. Header names are lowercase."""

    scheme: str
    host: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: str

    def __str__(self) -> str:
        credentials = [f"{name}: {self.headers[name]}" for name in SHOWN if name in self.headers]
        return "  ".join([f"{self.method} {self.url}", *credentials, self.body]).rstrip()

    @property
    def url(self) -> str:
        """The URL that was asked for."""
        return f"{self.scheme}://{self.host}{self.path}"

    @property
    def authorization(self) -> str | None:
        """The credentials that came, if any."""
        return self.headers.get("authorization")


def verified(token: str, key: str) -> dict[str, Any]:
    """The claims of a JWT (RFC 7519) signed with HS256. Raises `ValueError`."""
    signed, _, signature = token.rpartition(".")
    expected = hmac.digest(key.encode(), signed.encode(), "sha256")
    if not hmac.compare_digest(expected, _decoded(signature)):
        raise ValueError("the signature is not ours")
    claims: dict[str, Any] = json.loads(_decoded(signed.partition(".")[2]))
    if claims["exp"] < time.time():
        raise ValueError("it has expired")
    return claims


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _profile(request: Received) -> web.Response:
    """The platform's API: whoever brings a good JWT gets the profile of the customer it names."""
    scheme, _, token = (request.authorization or "").partition(" ")
    try:
        customer = verified(token, JWT_KEY)["sub"] if scheme == "Bearer" else None
    except ValueError:
        customer = None
    if customer is None:
        return web.json_response({"error": "no credentials"}, status=401)
    return web.json_response({"customer": customer, "plan": "pro"})


def _headlines(_: Received) -> web.Response:
    return web.json_response({"headlines": ["Rain stops", "Bread costs less", "Cat comes home"]})


def _no_content(_: Received) -> web.Response:
    return web.Response(status=204)


def _needs(header: str) -> Callable[[Received], web.Response]:
    """An API that wants a header, and does not look at its value."""

    def answer(request: Received) -> web.Response:
        if header not in request.headers:
            return web.json_response({"error": f"no {header}"}, status=401)
        return _hello(request)

    return answer


def _hello(request: Received) -> web.Response:
    return web.json_response({"url": request.url})


HOSTS: Mapping[str, Callable[[Received], web.Response]] = {
    "logs.example.com": _no_content,
    "api.example.com": _profile,
    "news.example.com": _headlines,
    "links.example.com": _hello,
    "payments.example.com": _needs("authorization"),
    "mail.example.com": _needs("authorization"),
    "maps.example.com": _needs("x-api-key"),
    "partner.example.net": _hello,
    "tracker.example.net": _hello,
    "attacker.example.net": _hello,
    "payments.example.com.attacker.example.net": _hello,
    "cdn.malware.example": _hello,
    "pool.miner.example": _hello,
}
"""Every host there is, and how it answers. To any other there is no TLS connection."""

REDIRECTS = {
    "https://links.example.com/away": "https://tracker.example.net/",
    "https://payments.example.com/moved": "https://attacker.example.net/",
}


class Origin:
    """The server, within `async with`. It keeps all that it receives."""

    def __init__(
        self,
        ca_file: Path,
        ports: tuple[int, int] = (0, 0),
        tell: Callable[[Received], object] = lambda _: None,
    ) -> None:
        self.ca_file = ca_file
        self.received: list[Received] = []
        self._ports = ports
        self._tell = tell
        self._came = asyncio.Condition()
        self._runner = web.AppRunner(self._application(), handle_signals=False, access_log=None)

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_BODY)
        application.router.add_route("*", "/{path:.*}", self._answer)
        return application

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        https, http = self._ports
        await web.TCPSite(self._runner, "127.0.0.1", https, ssl_context=self._tls()).start()
        await web.TCPSite(self._runner, "127.0.0.1", http).start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    @property
    def options(self) -> list[str]:
        """What `sluice dev` has to be told: whatever the host, connect here."""
        https, http = (address[1] for address in self._runner.addresses)
        return [
            *("--connect-to", f":443:127.0.0.1:{https}"),
            *("--connect-to", f":80:127.0.0.1:{http}"),
        ]

    def to(self, host: str) -> list[Received]:
        """The requests that came to `host`."""
        return [received for received in self.received if received.host == host]

    async def wait(self, host: str, count: int = 1, seconds: float = 10) -> list[Received]:
        """The requests that came to `host`, once there are `count`. Raises `TimeoutError`."""
        async with asyncio.timeout(seconds), self._came:
            await self._came.wait_for(lambda: len(self.to(host)) >= count)
        return self.to(host)

    def _tls(self) -> ssl.SSLContext:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca_file)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*HOSTS).configure_cert(context)
        return context

    async def _answer(self, request: web.Request) -> web.Response:
        received = Received(
            request.scheme,
            request.host,
            request.method,
            request.raw_path,
            {name.lower(): value for name, value in request.headers.items()},
            await request.text(),
        )
        async with self._came:
            self.received.append(received)
            self._came.notify_all()
        self._tell(received)
        if target := REDIRECTS.get(received.url):
            return web.Response(status=302, headers={"location": target})
        return HOSTS.get(received.host, _hello)(received)


async def _serve(ca_file: Path, ports: tuple[int, int]) -> None:
    async with Origin(ca_file, ports, lambda received: print(received, flush=True)) as origin:
        print("Give these to `sluice dev`:")
        print(f"  SSL_CERT_FILE={ca_file}")
        print(f"  {' '.join(origin.options)}", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Serve until Ctrl-C, and print what comes."""
    parser = argparse.ArgumentParser(description="The examples' own internet, on loopback.")
    ca_file = Path(tempfile.gettempdir(), "sluice-examples-ca.pem")
    parser.add_argument("--ca", type=Path, default=ca_file, help="where to write the authority")
    parser.add_argument("--https", type=int, default=8443, metavar="PORT")
    parser.add_argument("--http", type=int, default=8080, metavar="PORT")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        try:
            asyncio.run(_serve(options.ca, (options.https, options.http)))
        except OSError as error:
            parser.error(str(error))


if __name__ == "__main__":
    main()
