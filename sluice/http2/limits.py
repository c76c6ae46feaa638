"""What one connection may cost."""

from __future__ import annotations

from dataclasses import dataclass

KIB, MIB = 1024, 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a connection, in bytes where nothing else is said."""

    streams: int = 4096
    """Most streams that the far side has open at once."""

    fields: int = 64 * KIB
    """Of one head or of trailers, decoded; and of its block."""

    continuations: int = 64
    """Most frames that one block comes in."""

    frame: int = 128 * KIB
    """Of the longest frame taken. RFC 9113 asks for 16 KiB at least."""

    stream_window: int = 64 * KIB
    """Of one stream, on the way to here or waiting here."""

    connection_window: int = 16 * MIB
    """On the way to here."""

    held: int = 256 * MIB
    """Waiting here, of all streams, before the connection's window is kept shut for it. As much
    as they may hold: those that nobody reads must not keep the others waiting."""

    unfinished: int = 512 * MIB
    """Of messages that have begun to come, and of answers that wait for the far side's windows.
    The stream that goes beyond it is ended."""

    unsent: int = 256 * KIB
    """Waiting to be sent, before senders wait too."""

    unread: int = 4 * MIB
    """Waiting to be read by the far side, before the connection is ended. Only answers of a few
    bytes that it asked for come so far: senders of more wait."""

    handshake: float = 10.0
    """Seconds until the far side's settings are there."""

    keepalive: float = 30.0
    """Seconds of silence before a ping asks whether the far side is still there."""

    keepalive_wait: float = 10.0
    """Seconds for the answer."""

    stall: float | None = None
    """Seconds that a message waits for the far side's windows, if it opens them not at all. None
    for ever, and uncounted: so a client, whose requests a method need not read to answer them."""

    window_changes: int = 100
    """Most changes of the window of streams, by settings, while there are any."""

    goodbye: float = 5.0
    """Seconds that a connection which is closed has to send what is left; and that one which is
    to be closed waits for streams on their way."""
