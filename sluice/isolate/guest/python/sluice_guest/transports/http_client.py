"""`http.client`, on which `urllib.request` and urllib3 stand: connections to the egress."""

from __future__ import annotations

import http.client
from typing import Any, NoReturn

from sluice_guest import control, invocation
from sluice_guest.broker import connected
from sluice_guest.remote import remote_error
from sluice_guest.replacement import replace

_HTTPS = http.client.HTTPS_PORT
_Connection = http.client.HTTPConnection
_putrequest = _Connection.putrequest
_putheader = _Connection.putheader
_getresponse = _Connection.getresponse


class Https(_Connection):
    """A connection for `https` URLs. TLS to the origin is spoken further out."""

    default_port = _HTTPS


def install() -> None:
    """Send what any connection of this process sends to the egress."""
    replace(
        _Connection,
        connect=_connect_to_egress,
        putrequest=_put_absolute,
        putheader=_put_unless_control,
        getresponse=_get_or_raise,
        set_tunnel=_refuse_tunnel,
    )
    replace(http.client.HTTPSConnection, connect=_connect_to_egress)


def absolute(connection: _Connection, target: str) -> str:
    """The URL of a target on a connection's host."""
    if target.startswith(("http://", "https://")):
        return target
    scheme = "https" if connection.default_port == _HTTPS else "http"
    host = connection.host if connection.host.isascii() else _ascii(connection.host)
    host = f"[{host}]" if ":" in host else host
    port = "" if connection.port == connection.default_port else f":{connection.port}"
    return f"{scheme}://{host}{port}{target}"


def _connect_to_egress(self: _Connection) -> None:
    self.sock = connected(self.timeout)


def _ascii(host: str) -> str:
    return host.encode("idna").decode()


def _put_absolute(
    self: _Connection,
    method: str,
    url: str,
    skip_host: bool = False,
    skip_accept_encoding: bool = False,
) -> None:
    token = invocation.required().token
    _putrequest(self, method, absolute(self, url or "/"), skip_host, skip_accept_encoding)
    _putheader(self, control.TOKEN, token)


def _put_unless_control(self: _Connection, header: str | bytes, *values: Any) -> None:
    name = header.decode("latin-1") if isinstance(header, bytes) else header
    if not control.is_control(name):
        _putheader(self, header, *values)


def _get_or_raise(self: _Connection) -> http.client.HTTPResponse:
    response = _getresponse(self)
    if header := response.headers.get(control.ERROR):
        response.close()
        self.close()
        raise remote_error(header)
    return response


def _refuse_tunnel(self: _Connection, *_: Any, **__: Any) -> NoReturn:
    raise OSError("A Worker cannot ask a proxy: its requests leave through the Outbound Worker.")
