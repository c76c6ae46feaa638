"""The canonical line: one for each subrequest, written when its response is over."""

from __future__ import annotations

import logging
import time
from typing import NamedTuple
from urllib.parse import urlsplit

from services.outbound.policy import Decision, Result
from sluice.mesh import attributes, logs
from sluice.pb import outbound_pb2
from sluice.wire.body import Watched
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from sluice.wire.websocket import WatchedSocket

ALLOW = "allow"
"""The request went to its destination."""

ANSWER = "answer"
"""The Outbound Worker answered it without a request of its own."""

DENY = "deny"
"""It was refused, by an egress policy, by the guard or for a limit."""

REPORT = "report"
"""It was let through, though an egress policy in mode `report` is against it."""

_DENIALS = {Reason.DESTINATION_PROHIBITED, Reason.LOOP_DETECTED, Reason.EXCEEDED_SUBREQUESTS}


def without_query(url: str) -> str:
    """The URL without userinfo, query and fragment: these may hold credentials."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


SUBREQUEST = "subrequest"
"""Event of a user Worker's subrequest: one line each, whatever became of it."""

FETCH = "fetch"
"""Event of a request that an Outbound Worker made itself: a line where it got no response, and
for each at level debug."""

_log = logging.getLogger(__name__)


class Refusal(NamedTuple):
    """Why a request was refused. Not the error itself, which refers to whom it was raised in."""

    reason: Reason
    message: str


def refusal_of(error: BaseException) -> Refusal | None:
    """The refusal that an error is, if it is one."""
    if isinstance(error, SluiceError) and error.reason in _DENIALS:
        return Refusal(error.reason, error.message)
    return None


class EgressLine:
    """What is known of one subrequest, until it is over."""

    def __init__(
        self,
        event: str,
        subrequest: outbound_pb2.Subrequest,
        request: Request,
        trace_id: str,
    ) -> None:
        self._event = event
        self._start = time.monotonic()
        self._subrequest = subrequest
        self._request = request
        self._trace_id = trace_id
        self._sent = Watched(request.body)
        request.body = self._sent
        self.decision = ALLOW
        self._detail: str | None = None
        self._policy: str | None = None
        self._refusal: Refusal | None = None

    def judged(self, decision: Decision) -> None:
        """Note what the egress policies say."""
        self._policy = decision.reason
        if decision.result is Result.REPORT:
            self.decision = REPORT

    def answered(self) -> None:
        """Note that the Outbound Worker answered without a request of its own."""
        if self.decision == ALLOW:
            self.decision = ANSWER

    def refused(self, refusal: Refusal) -> None:
        """Note that what the Outbound Worker asked for was refused, for which it threw."""
        self._refusal = refusal

    def response(self, response: Response) -> Response:
        """The response, whose end writes the line."""
        response.watch(lambda watched: self._write(response.status, watched))
        return response

    def failed(self, error: BaseException) -> None:
        """Write the line of a subrequest that got no response."""
        if isinstance(error, SluiceError):
            refusal = self._refusal or refusal_of(error)
            if refusal:
                self.decision, self._detail = DENY, refusal.message
            elif error.reason is Reason.LOAD_SHED:
                self._detail = error.message
            reason = (refusal or error).reason.name
        else:
            reason = "CANCELLED"
        self._write(None, None, reason)

    def _write(
        self, status: int | None, body: Watched | WatchedSocket | None, reason: str | None = None
    ) -> None:
        if self._event == FETCH and not reason and not _log.isEnabledFor(logging.DEBUG):
            return
        who = self._subrequest
        logs.emit(
            self._event,
            {
                attributes.TRACE_ID: self._trace_id,
                attributes.INVOCATION_ID: who.invocation_id,
                attributes.DISPATCH_NAMESPACE: who.worker.dispatch_namespace,
                attributes.WORKER: who.worker.name,
                attributes.OUTBOUND_WORKER: who.outbound.service,
                attributes.METHOD: self._request.method,
                attributes.URL: without_query(self._request.url),
                attributes.DECISION: self.decision,
                attributes.REASON: reason or _reason_of(body),
                attributes.DETAIL: self._detail,
                attributes.POLICY: self._policy,
                attributes.STATUS: status,
                attributes.BYTES_SENT: body.sent
                if isinstance(body, WatchedSocket)
                else self._sent.count,
                attributes.BYTES_RECEIVED: body.count if body else 0,
                attributes.DURATION_MS: round((time.monotonic() - self._start) * 1000, 1),
            },
        )


def _reason_of(body: Watched | WatchedSocket | None) -> str | None:
    return body.failure.reason.name if body and body.failure else None
