"""What aiohttp and the system raise, as the reasons of the error table.

Messages name the destination's host and never an address: what an internal name resolves to is not
for Workers to know.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientError,
    ClientOSError,
    ClientPayloadError,
    InvalidURL,
    ServerDisconnectedError,
    ServerTimeoutError,
)
from aiohttp.http import HttpProcessingError

from services.outbound.origin.destination import DeniedError
from sluice.wire.errors import Reason, SluiceError

Row = tuple[type[BaseException], Reason, Callable[[Any], str]]

_BEFORE_THE_HEAD: tuple[Row, ...] = (
    (InvalidURL, Reason.INVALID_REQUEST, lambda _: "is not a host that can be reached"),
    (
        ClientConnectorDNSError,
        Reason.DNS_ERROR,
        lambda e: f"cannot be resolved: {e.os_error.strerror or e.os_error}",
    ),
    (
        ClientConnectorCertificateError,
        Reason.TLS_ERROR,
        lambda e: f"has a bad certificate: {_verdict(e.certificate_error)}",
    ),
    (
        ClientConnectorSSLError,
        Reason.TLS_ERROR,
        lambda e: f"failed the TLS handshake: {_tls_reason(e.os_error)}",
    ),
    (
        DeniedError,
        Reason.DESTINATION_PROHIBITED,
        lambda e: f"is prohibited as a destination: it is {e.reason}",
    ),
    (ServerTimeoutError, Reason.RESPONSE_TIMEOUT, lambda _: "stopped within the response head"),
    (TimeoutError, Reason.RESPONSE_TIMEOUT, lambda _: "did not accept a connection in time"),
    (
        ConnectionAbortedError,  # asyncio's, and only there
        Reason.TLS_ERROR,
        lambda _: "did not finish the TLS handshake in time",
    ),
    (
        ConnectionResetError,
        Reason.CONNECTION_REFUSED,
        lambda _: "reset the connection before a response",
    ),
    (BrokenPipeError, Reason.CONNECTION_REFUSED, lambda _: "closed the connection"),
    (
        ServerDisconnectedError,
        Reason.CONNECTION_REFUSED,
        lambda _: "closed the connection before a response",
    ),
    (HttpProcessingError, Reason.INVALID_RESPONSE, lambda _: "did not answer in valid HTTP/1.1"),
    (ClientPayloadError, Reason.INVALID_RESPONSE, lambda _: "did not answer in valid HTTP/1.1"),
    (
        OSError,
        Reason.CONNECTION_REFUSED,
        lambda e: f"cannot be reached: {os.strerror(e.errno) if e.errno else 'no way to it'}",
    ),
    (ClientError, Reason.CONNECTION_REFUSED, lambda _: "cannot be reached"),
)

_WITHIN_THE_BODY: tuple[Row, ...] = (
    (ServerTimeoutError, Reason.RESPONSE_TIMEOUT, lambda _: "stopped within the response body"),
    (HttpProcessingError, Reason.BODY_CUT_SHORT, lambda _: "broke the response body's framing"),
    (
        ClientPayloadError,
        Reason.BODY_CUT_SHORT,
        lambda _: "closed the connection within the response body",
    ),
    (
        ClientOSError,
        Reason.BODY_CUT_SHORT,
        lambda _: "reset the connection within the response body",
    ),
    (ClientError, Reason.BODY_CUT_SHORT, lambda _: "broke off the response body"),
    (OSError, Reason.BODY_CUT_SHORT, lambda _: "broke off the response body"),
)

EXPECTED = (ClientError, HttpProcessingError, OSError)
"""What an exchange with an origin raises. `TimeoutError` is an `OSError`."""


def no_response(error: BaseException, host: str) -> SluiceError:
    """Why there is no response from `host`, from what connecting, sending or reading raised."""
    # The connector wraps what one attempt raised; its TLS and DNS errors are subclasses.
    if type(error) is ClientConnectorError:
        error = error.os_error
    return _classify(_BEFORE_THE_HEAD, error, host)


def cut_short(error: BaseException, host: str) -> SluiceError:
    """Why the body of the response from `host` ended early."""
    return _classify(_WITHIN_THE_BODY, error, host)


def _classify(table: tuple[Row, ...], error: BaseException, host: str) -> SluiceError:
    for kind, reason, text in table:
        if isinstance(error, kind):
            return SluiceError(reason, f"{host} {text(error)}", host=host)
    return SluiceError(Reason.INTERNAL, f"{host}: unexpected {type(error).__name__}", host=host)


def _verdict(error: Exception) -> str:
    return getattr(error, "verify_message", "") or str(error)


def _tls_reason(error: OSError) -> str:
    # OpenSSL's own errors have a reason, those that Python makes have not.
    reason: str = getattr(error, "reason", "") or error.strerror or "no TLS"
    return reason.replace("_", " ").lower()
