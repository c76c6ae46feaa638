"""Each error of aiohttp and of the system has a reason of the table."""

from __future__ import annotations

import errno
import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http import HttpProcessingError

from services.outbound.origin.destination import DeniedError
from services.outbound.origin.failure import cut_short, no_response
from sluice.wire.errors import Reason

KEY = ConnectionKey("h", 443, True, True, None, None, None)


@pytest.mark.parametrize(
    ("error", "reason", "text"),
    [
        (
            aiohttp.ClientConnectorError(KEY, DeniedError("10.0.0.1", 80, "a private address")),
            Reason.DESTINATION_PROHIBITED,
            "a private address",
        ),
        (
            aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "Name or service not known")),
            Reason.DNS_ERROR,
            "Name or service not known",
        ),
        (
            aiohttp.ClientConnectorError(KEY, ConnectionRefusedError(111, "('10.0.0.1', 80)")),
            Reason.CONNECTION_REFUSED,
            "Connection refused",
        ),
        (
            aiohttp.ClientConnectorError(KEY, OSError(errno.EHOSTUNREACH, "('10.0.0.1', 80)")),
            Reason.CONNECTION_REFUSED,
            "No route to host",
        ),
        (
            aiohttp.ClientConnectorError(KEY, TimeoutError(errno.ETIMEDOUT, "('10.0.0.1', 80)")),
            Reason.RESPONSE_TIMEOUT,
            "did not accept a connection in time",
        ),
        (
            aiohttp.ClientConnectorError(KEY, OSError("Multiple exceptions: ('10.0.0.1', 80)")),
            Reason.CONNECTION_REFUSED,
            "no way to it",
        ),
        (
            aiohttp.ClientConnectorCertificateError(KEY, ssl.CertificateError("expired")),
            Reason.TLS_ERROR,
            "expired",
        ),
        (
            aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "[SSL] wrong version number")),
            Reason.TLS_ERROR,
            "wrong version number",
        ),
        (aiohttp.InvalidURL("http://127.1/?secret"), Reason.INVALID_REQUEST, "not a host"),
        (aiohttp.ServerDisconnectedError(), Reason.CONNECTION_REFUSED, "before a response"),
        (aiohttp.ClientOSError(errno.ECONNRESET, "reset"), Reason.CONNECTION_REFUSED, "reset"),
        (aiohttp.ClientConnectionError("10.0.0.1"), Reason.CONNECTION_REFUSED, "reached"),
        (aiohttp.SocketTimeoutError(), Reason.RESPONSE_TIMEOUT, "within the response head"),
        (HttpProcessingError(message="secret"), Reason.INVALID_RESPONSE, "valid HTTP/1.1"),
        (KeyError("a bug"), Reason.INTERNAL, "KeyError"),
    ],
)
def test_error_before_the_response(error: Exception, reason: Reason, text: str) -> None:
    """The reason fits, and the message names host and cause but no address and no query."""
    found = no_response(error, "h.example.com")
    assert found.reason is reason
    assert found.message.startswith("h.example.com")
    assert text in found.message
    assert "10.0.0.1" not in found.message
    assert "secret" not in found.message
    assert found.metadata == {"host": "h.example.com"}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (aiohttp.SocketTimeoutError(), Reason.RESPONSE_TIMEOUT),
        (aiohttp.ClientPayloadError(), Reason.BODY_CUT_SHORT),
        (HttpProcessingError(), Reason.BODY_CUT_SHORT),
        (aiohttp.ClientOSError(errno.ECONNRESET, "reset"), Reason.BODY_CUT_SHORT),
        (ConnectionResetError(), Reason.BODY_CUT_SHORT),
        (aiohttp.ClientConnectionError(), Reason.BODY_CUT_SHORT),
        (KeyError("a bug"), Reason.INTERNAL),
    ],
)
def test_error_within_the_body(error: Exception, reason: Reason) -> None:
    """A body that breaks off is cut short; one that stalls has timed out."""
    assert cut_short(error, "h.example.com").reason is reason
