"""One connection: frames in, frames out, and who may send how much (RFC 9113)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import ClassVar, cast

from sluice.http2 import frames
from sluice.http2.block import Block, in_frames
from sluice.http2.failure import Code, ConnectionFailure, code_of
from sluice.http2.fields import NO_TABLE, Decoder, Fields
from sluice.http2.frames import MAX_NUMBER, check, frame, read_word, unpadded, word
from sluice.http2.limits import Limits
from sluice.http2.outbox import Outbox
from sluice.http2.settings import PeerSettings
from sluice.http2.silence import Silence
from sluice.http2.stream import Stream
from sluice.http2.window import ReceiveWindow

_PING = frame(frames.PING, 0, 0, b"keptlive")
_LAST_CALL = b"lastcall"


class Connection(asyncio.Protocol):
    """An end of a connection. A subclass is the client's or the server's."""

    outbox: Outbox
    _transport: asyncio.Transport
    _silence: Silence

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.streams: dict[int, Stream] = {}
        self.peer = PeerSettings()
        self.closed = False
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the transport is no more, a little after `closed`."""
        self.last = 0
        """The number of the last stream that the far side opened; 0 where it opened none."""
        self._agreed = False
        self._decoder = Decoder(limits.fields)
        self._preamble = NO_TABLE
        self._rest = b""
        self._block: Block | None = None
        self.unfinished = 0
        """Bytes that wait here of messages that have begun to come, or to go."""
        self._window_changes = 0
        self._window = ReceiveWindow(limits.connection_window)

    # What a subclass says.

    def opened(self, number: int, fields: Fields) -> Stream | None:
        """The stream that a head of an unknown number opens; None where it is to be ignored."""
        raise NotImplementedError

    def check_known(self, number: int) -> None:
        """Raise `ConnectionFailure` for the number of a stream that has never been."""
        raise NotImplementedError

    def agreed(self) -> None:
        """The far side's settings are there."""

    def going_away(self, last: int) -> None:
        """The far side takes no streams beyond `last`."""

    def answered_last_call(self) -> None:
        """The far side has read all that was sent before `last_call`."""

    def forgotten(self) -> None:
        """A stream is over."""

    def lost(self, code: Code, text: str) -> None:
        """The connection is over, for this reason."""

    # What the transport says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to listen."""
        self._transport = cast("asyncio.Transport", transport)
        self.outbox = Outbox(self._transport, self.limits)
        self._silence = Silence(
            self.limits, self._late, lambda: self.emit(_PING), self._transport.abort
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """End every stream."""
        self._silence.end()
        self._end(Code.CONNECT_ERROR, f"the connection was lost{f': {exc}' if exc else ''}")
        if not self.over.done():
            self.over.set_result(None)

    def pause_writing(self) -> None:
        """Let senders wait."""
        self.outbox.pause()

    def resume_writing(self) -> None:
        """Let senders go on."""
        self.outbox.resume()

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        if self.closed:
            return
        self._silence.broken()
        if self._rest:
            data = self._rest + data
        try:
            self._rest = data[self._read(data) :]
        except ConnectionFailure as failure:
            self.fail(failure)

    # What streams and subclasses send.

    def send_headers(self, stream: Stream, block: bytes, *, end: bool) -> None:
        """Send a block of fields; `end`: nothing follows it on this stream."""
        block, self._preamble = self._preamble + block, b""
        self.emit(in_frames(stream.id, block, self.peer.frame, end=end))
        if end:
            self._ended_here(stream)

    def send_data(self, stream: Stream, data: bytes, begin: int, *, end: bool) -> int:
        """Send as much of `data`, from `begin`, as there is room for. Returns where the rest is."""
        size, unsent = len(data), self.limits.unsent
        room = min(size - begin, self.outbox.window, stream.send_window, unsent)
        if room <= 0 or not self.outbox.has_room:
            return begin
        self.outbox.window -= room
        stream.send_window -= room
        stop, most = begin + room, self.peer.frame
        last = frames.END_STREAM if end and stop == size else 0
        for at in range(begin, stop, most):
            to = min(at + most, stop)
            self.emit(frame(frames.DATA, last if to == stop else 0, stream.id, data[at:to]))
        if last:
            self._ended_here(stream)
        return stop

    def reset(self, stream: Stream, code: Code) -> None:
        """End a stream, if it is not over, and say why (section 6.4). It is told nothing."""
        if self.streams.get(stream.id) is stream:
            self.emit(frame(frames.RST_STREAM, 0, stream.id, word(code)))
            self._forget(stream)

    def consume(self, stream: Stream, size: int) -> None:
        """Let the far side send more, as `size` bytes of a stream are needed no more."""
        if self.streams.get(stream.id) is not stream:
            return
        stream.window.release(size)
        self._window.release(size)
        stream.window.owe(size)
        if not stream.remote_ended and (more := stream.window.grant()):
            self.emit(frame(frames.WINDOW_UPDATE, 0, stream.id, word(more)))
        self._open_window()

    def give_up(self, stream: Stream) -> None:
        """End a stream whose far side has too much wait here, or for too long."""
        if self.streams.get(stream.id) is stream:
            self._break(stream, Code.ENHANCE_YOUR_CALM)

    def go_away(self, last: int, code: Code = Code.NO_ERROR, text: str = "") -> None:
        """Say that no stream beyond `last` is taken (section 6.8)."""
        self.emit(frame(frames.GOAWAY, 0, 0, word(last) + word(code) + text.encode()[:256]))

    def last_call(self) -> None:
        """Ask the far side to answer when it has read all that was sent."""
        self.emit(frame(frames.PING, 0, 0, _LAST_CALL))

    def close(self) -> None:
        """Send what is to be sent, and close. Streams that are open end."""
        self._close(Code.CANCEL, "the connection was closed")

    def abort(self) -> None:
        """End the connection without a word."""
        self._transport.abort()

    def fail(self, failure: ConnectionFailure) -> None:
        """End the connection, and say why (section 5.4.1)."""
        self.go_away(self.last, failure.code, failure.text)
        self._close(failure.code, failure.text)

    def emit(self, data: bytes) -> None:
        """Send bytes, while the connection is."""
        if not self.closed:
            self.outbox.put(data)

    def _close(self, code: Code, text: str) -> None:
        if self.closed:
            return
        self.outbox.flush()
        self._silence.leaving()
        self._transport.close()
        self._end(code, text)

    def _end(self, code: Code, text: str) -> None:
        if self.closed:
            return
        self.closed = True
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            stream.on_end(code, text)
        self._rest, self._block = b"", None
        self.outbox.end()
        self.lost(code, text)

    # What the far side sends.

    def _read(self, data: bytes) -> int:
        """Take in the frames that are here whole. Returns where the rest begins."""
        at, size = 0, len(data)
        unpack, most = frames.HEAD.unpack_from, self.limits.frame
        while size - at >= frames.HEAD_SIZE:
            high, low, kind, flags, number = unpack(data, at)
            length = high << 8 | low
            if length > most:
                raise ConnectionFailure(Code.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            begin = at + frames.HEAD_SIZE
            if size - begin < length:
                break
            at = begin + length
            self._take(kind, flags, number & MAX_NUMBER, data[begin:at])
            if self.closed:
                return size
        return at

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._block is not None and (kind != frames.CONTINUATION or number != self._block.id):
            raise ConnectionFailure(Code.PROTOCOL_ERROR, "a block of fields was interrupted")
        if not self._agreed and kind != frames.SETTINGS:
            raise ConnectionFailure(Code.PROTOCOL_ERROR, "settings have to come first")
        if taker := self._TAKERS.get(kind):  # any other kind says nothing to us
            taker(self, flags, number, payload)

    def _take_data(self, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        if not self._window.take(size):
            raise ConnectionFailure(Code.FLOW_CONTROL_ERROR, "more than the connection's window")
        self._window.owe(size)
        stream = self.streams.get(number)
        if stream is None:
            self.check_known(number)
            self._window.release(size)
        elif stream.remote_ended or not stream.window.take(size):
            self._window.release(size)
            ended = stream.remote_ended
            self._break(stream, Code.STREAM_CLOSED if ended else Code.FLOW_CONTROL_ERROR)
        else:
            self._take_body(stream, flags, payload)
        self._open_window()

    def _take_body(self, stream: Stream, flags: int, payload: bytes) -> None:
        data = unpadded(flags & frames.PADDED, payload)
        ended = stream.remote_ended = bool(flags & frames.END_STREAM)
        stream.on_data(data, ended=ended)
        stream.consumed(len(payload) - len(data))
        if ended and stream.local_ended:
            self._forget(stream)

    def _take_headers(self, flags: int, number: int, payload: bytes) -> None:
        self._block = Block(number, ended=bool(flags & frames.END_STREAM))
        self._take_part(self._block, flags, unpadded(flags, payload))

    def _take_continuation(self, flags: int, number: int, payload: bytes) -> None:
        if self._block is None:
            raise ConnectionFailure(Code.PROTOCOL_ERROR, f"CONTINUATION of nothing ({number})")
        self._take_part(self._block, flags, payload)

    def _take_part(self, block: Block, flags: int, part: bytes) -> None:
        block.add(part, self.limits)
        if flags & frames.END_HEADERS:
            self._block = None
            self._take_block(block, self._decoder.decode(block.whole()))

    def _take_block(self, block: Block, fields: Fields) -> None:
        stream = self.streams.get(block.id)
        if stream is None:
            stream = self.opened(block.id, fields)
            if stream is None:
                return
            self.streams[block.id] = stream
        elif stream.remote_ended:
            self._break(stream, Code.STREAM_CLOSED)
            return
        stream.remote_ended = block.ended
        stream.on_headers(fields, ended=block.ended)
        if block.ended and stream.local_ended:
            self._forget(stream)

    def _take_reset(self, _: int, number: int, payload: bytes) -> None:
        check("RST_STREAM", stream=number > 0, size=len(payload) == 4)
        stream = self.streams.get(number)
        if stream is None:
            self.check_known(number)
            return
        code = code_of(read_word(payload))
        self._forget(stream)
        stream.on_end(code, f"the far side reset the stream ({code.name})")

    def _take_settings(self, flags: int, number: int, payload: bytes) -> None:
        check("SETTINGS", stream=not number, size=not (flags & frames.ACK and payload))
        if flags & frames.ACK:
            return  # Nothing here waits for it.
        before, self.peer = self.peer, self.peer.updated(payload)
        if self.streams and (more := self.peer.window - before.window):
            self._widen_all(more)
        self.emit(frame(frames.SETTINGS, frames.ACK, 0))
        if not self._agreed:
            self._agreed = True
            self._silence.watch()
            self.agreed()

    def _widen_all(self, more: int) -> None:
        self._window_changes += 1
        if self._window_changes > self.limits.window_changes:
            raise ConnectionFailure(Code.ENHANCE_YOUR_CALM, "the window changes again and again")
        for stream in self.streams.values():
            stream.send_window += more
            if stream.send_window > MAX_NUMBER:
                raise ConnectionFailure(Code.FLOW_CONTROL_ERROR, "settings widen a window too far")
        self.outbox.wake_all()

    def _take_ping(self, flags: int, number: int, payload: bytes) -> None:
        check("PING", stream=not number, size=len(payload) == 8)
        if not flags & frames.ACK:
            self.emit(frame(frames.PING, frames.ACK, 0, payload))
        elif payload == _LAST_CALL:
            self.answered_last_call()

    def _take_go_away(self, _: int, number: int, payload: bytes) -> None:
        check("GOAWAY", stream=not number, size=len(payload) >= 8)
        self.going_away(read_word(payload) & MAX_NUMBER)

    def _take_window_update(self, _: int, number: int, payload: bytes) -> None:
        check("WINDOW_UPDATE", stream=True, size=len(payload) == 4)
        more = read_word(payload) & MAX_NUMBER
        if number:
            self._widen(number, more)
            return
        self.outbox.window += more
        if not more or self.outbox.window > MAX_NUMBER:
            code = Code.FLOW_CONTROL_ERROR if more else Code.PROTOCOL_ERROR
            raise ConnectionFailure(code, f"{more} bytes more of a window")
        self.outbox.look()

    def _widen(self, number: int, more: int) -> None:
        stream = self.streams.get(number)
        if stream is None:
            self.check_known(number)
            return
        stream.send_window += more
        if not more or stream.send_window > MAX_NUMBER:
            self._break(stream, Code.FLOW_CONTROL_ERROR if more else Code.PROTOCOL_ERROR)
        else:
            self.outbox.wake(number)

    def _refuse_push(self, flags: int, number: int, payload: bytes) -> None:
        raise ConnectionFailure(Code.PROTOCOL_ERROR, "PUSH_PROMISE, which is disabled")

    _TAKERS: ClassVar[Mapping[int, Callable[[Connection, int, int, bytes], None]]] = {
        frames.DATA: _take_data,
        frames.HEADERS: _take_headers,
        frames.RST_STREAM: _take_reset,
        frames.SETTINGS: _take_settings,
        frames.PUSH_PROMISE: _refuse_push,
        frames.PING: _take_ping,
        frames.GOAWAY: _take_go_away,
        frames.WINDOW_UPDATE: _take_window_update,
        frames.CONTINUATION: _take_continuation,
    }
    """What takes a frame of a kind: `(self, flags, number of the stream, payload)`."""

    def _open_window(self) -> None:
        """Let the far side send more, unless too much waits here already."""
        if self._window.held < self.limits.held and (more := self._window.grant()):
            self.emit(frame(frames.WINDOW_UPDATE, 0, 0, word(more)))

    def _ended_here(self, stream: Stream) -> None:
        stream.local_ended = True
        if stream.remote_ended:
            self._forget(stream)

    def _break(self, stream: Stream, code: Code) -> None:
        """End a stream whose far side broke a rule."""
        self.reset(stream, code)
        stream.on_end(code, f"the far side broke a rule ({code.name})")

    def _forget(self, stream: Stream) -> None:
        """The stream is over, for both sides."""
        if self.streams.pop(stream.id, None) is not None:
            self._window.release(stream.window.held)
            self.unfinished -= stream.begun
            self.outbox.wake(stream.id)
            self.forgotten()
            self._open_window()

    def _late(self) -> None:
        self.fail(ConnectionFailure(Code.SETTINGS_TIMEOUT, "no settings came"))
