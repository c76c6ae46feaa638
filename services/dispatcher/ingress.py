"""The public HTTP listener: each request becomes one dispatch."""

from __future__ import annotations

import logging

from services.dispatcher.dispatch import Dispatch
from sluice.http1.limits import Limits
from sluice.http1.server import Exchange, Server
from sluice.mesh import attributes, tracing
from sluice.mesh.env import Address
from sluice.mesh.tracing import Kind, Span
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.headers import HOPS, Header
from sluice.wire.messages import Request, Response

_TRACE_HEADERS = ("traceparent", "tracestate")

_log = logging.getLogger(__name__)


class Ingress:
    """Serves HTTP by the dispatch Worker."""

    def __init__(self, dispatch: Dispatch, listen: Address, limits: Limits) -> None:
        self._dispatch = dispatch
        self._listen = listen
        self._server = Server(self._serve, on_error=_refusal, limits=limits)

    async def start(self) -> Address:
        """Listen. Returns the address."""
        return Address(*await self._server.listen_tcp(self._listen.host, self._listen.port))

    async def stop(self, grace: float) -> None:
        """Accept no more, and let what is in flight finish within `grace` seconds."""
        await self._server.close(grace)

    async def _serve(self, received: Exchange) -> Response:
        request = received.request
        span = _start_span(request)
        try:
            if received.upgrade is not None:
                raise SluiceError(
                    Reason.NOT_SUPPORTED, f"upgrade to {received.upgrade!r} is not carried"
                )
            hops = _hops(received.control.get(HOPS))
            response = await self._dispatch.dispatch(request, span, hops)
        except SluiceError as error:
            span.fail(error)
            span.end()
            fields = {attributes.TRACE_ID: span.trace_id, attributes.REASON: error.reason.name}
            _log.warning("no response: %s", error, extra={"fields": fields})
            return _refusal(error, span.trace_id)
        except BaseException as error:
            span.fail(error)
            span.end()
            raise
        span.set(attributes.HTTP_STATUS, response.status)
        response.watch(lambda _: span.end())
        return response


def _start_span(request: Request) -> Span:
    """Start the trace, or go on with the client's. The client's trace headers go no further."""
    traceparent = None
    kept: list[Header] = []
    for header in request.headers:
        if header[0] not in _TRACE_HEADERS:
            kept.append(header)
        elif header[0] == "traceparent":
            traceparent = header[1].decode("latin-1")
    request.headers = kept
    return tracing.start(
        request.method,
        Kind.SERVER,
        tracing.parse_traceparent(traceparent),
        {attributes.HTTP_METHOD: request.method},
    )


def _hops(header: str | None) -> int:
    return (
        int(header) if header and header.isascii() and header.isdigit() and len(header) < 4 else 0
    )


def _refusal(error: SluiceError, trace_id: str | None = None) -> Response:
    """What a client is told where no Worker answered: the reason, and where to look it up.

    Not the message: it may quote the platform's code.
    """
    text = error.reason.name if trace_id is None else f"{error.reason.name} (trace {trace_id})"
    return Response(
        error.reason.http_status,
        [("content-type", b"text/plain; charset=utf-8")],
        Whole(text.encode() + b"\n"),
    )
