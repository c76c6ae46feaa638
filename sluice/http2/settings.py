"""SETTINGS: what each side tells the other of itself (RFC 9113 section 6.5)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sluice.http2 import frames
from sluice.http2.failure import Code, ConnectionFailure
from sluice.http2.frames import MAX_NUMBER
from sluice.http2.limits import Limits

DEFAULT_WINDOW = 65_535
_DEFAULT_FRAME = 16_384
_PUSH, _STREAMS, _WINDOW, _FRAME, _FIELDS = 2, 3, 4, 5, 6


def own(limits: Limits, *, client: bool) -> bytes:
    """The frames that begin what an end says: its settings, and its connection's window.

    Not the size of the table of header fields, which so has 4,096 bytes: not all clients heed a
    smaller one (section 4.3.1), and heads without a table take twice as long to read.
    """
    values = {
        _STREAMS: limits.streams,
        _WINDOW: limits.stream_window,
        _FRAME: limits.frame,
        _FIELDS: limits.fields,
    }
    if client:
        values[_PUSH] = 0
    more = frames.word(limits.connection_window - DEFAULT_WINDOW)
    return frames.settings(values) + frames.frame(frames.WINDOW_UPDATE, 0, 0, more)


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """What the far side has said, of what matters to who sends."""

    window: int = DEFAULT_WINDOW
    """Bytes that a new stream may be sent."""

    frame: int = _DEFAULT_FRAME
    """Most bytes of a frame."""

    streams: int = MAX_NUMBER
    """Most streams that it takes at once."""

    def updated(self, payload: bytes) -> PeerSettings:
        """These, with those of a SETTINGS frame. Raises `ConnectionFailure`."""
        if len(payload) % 6:
            raise ConnectionFailure(Code.FRAME_SIZE_ERROR, "SETTINGS of no form")
        said = frames.read_settings(payload)
        new = replace(
            self,
            window=said.get(_WINDOW, self.window),
            frame=said.get(_FRAME, self.frame),
            streams=said.get(_STREAMS, self.streams),
        )
        if new.window > MAX_NUMBER:
            raise ConnectionFailure(Code.FLOW_CONTROL_ERROR, f"a window of {new.window} bytes")
        if not _DEFAULT_FRAME <= new.frame < 1 << 24:
            raise ConnectionFailure(Code.PROTOCOL_ERROR, f"frames of {new.frame} bytes")
        return new
