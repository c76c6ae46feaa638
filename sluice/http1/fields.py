"""Header lines off the wire, sorted by what they are for.

llhttp has checked their syntax (RFC 9112 section 5): token names, no control characters in values,
no folded lines, no space before the colon.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from sluice.http1.malformed import MalformedError
from sluice.wire import headers as header_list
from sluice.wire.headers import Header

Line = tuple[bytes, bytes]

MAX_NAME = 256
"""Most bytes of a header's name."""

_OF_THE_CONNECTION = header_list.FRAMING | header_list.HOP_BY_HOP | {"expect"}
_USUAL_OPTIONS = frozenset({"close", "keep-alive", "upgrade"}) | header_list.HOP_BY_HOP
_PLAIN, _OWN, _CONTROL = range(3)
_LONGEST_LENGTH = 18


@dataclass(slots=True)
class Fields:
    """One header section."""

    headers: list[Header]
    """Those that go on to the next hop, in order."""
    control: dict[str, str]
    """Those between Sluice and its isolates."""
    own: dict[str, list[bytes]]
    """Those of this connection only: framing, hop-by-hop and `expect`."""

    def closes(self) -> bool:
        """Whether the connection ends with this message."""
        return "connection" in self.own and "close" in _tokens(self.own["connection"])

    def body_length(self) -> tuple[int | None, bool]:
        """What `content-length` says, and whether the body is chunked (RFC 9112 section 6)."""
        codings, lengths = self.own.get("transfer-encoding"), self.own.get("content-length")
        if codings:
            if lengths:
                raise MalformedError(400, "both content-length and transfer-encoding")
            if len(codings) > 1 or codings[0].lower() != b"chunked":
                raise MalformedError(400, "transfer-encoding is not just chunked")
            return None, True
        if not lengths:
            return None, False
        digits = lengths[0]
        if len(lengths) > 1 or not digits.isdigit() or len(digits) > _LONGEST_LENGTH:
            raise MalformedError(400, "content-length is not one reasonable number")
        return int(digits), False


def sort(lines: list[Line]) -> Fields:
    """The header section that `lines` make. Drops what `headers.carried` drops.

    Raises `MalformedError` where a control header is there twice.
    """
    plain: list[Header] = []
    control: dict[str, str] = {}
    own: dict[str, list[bytes]] = {}
    for raw, padded in lines:
        name, use = _known(raw)
        value = padded.rstrip(b" \t")
        if use == _PLAIN:
            plain.append((name, value))
        elif use == _OWN:
            own.setdefault(name, []).append(value)
        elif name in control:
            raise MalformedError(400, f"{name} is there twice")
        else:
            control[name] = value.decode("latin-1")
    if "connection" in own and (named := _tokens(own["connection"]) - _USUAL_OPTIONS):
        plain = [header for header in plain if header[0] not in named]
    return Fields(plain, control, own)


def check_size(start: int, lines: list[Line], limit: int) -> None:
    """Raise `MalformedError` for a head of more than `limit` bytes, `start` of them its start."""
    if start + sum(len(name) + len(value) + 4 for name, value in lines) > limit:
        raise MalformedError(431, f"the head is longer than {limit} bytes")


@lru_cache(maxsize=1024)
def _known(raw: bytes) -> tuple[str, int]:
    """Lowercase name, and what it is for. Cached, because nearly all names are the same few."""
    if len(raw) > MAX_NAME:
        raise MalformedError(431, f"a header name is longer than {MAX_NAME} bytes")
    name = raw.decode("ascii").lower()
    if name in _OF_THE_CONNECTION:
        return name, _OWN
    return name, _CONTROL if name.startswith(header_list.CONTROL_PREFIX) else _PLAIN


def _tokens(values: list[bytes]) -> set[str]:
    text = b",".join(values).decode("latin-1").lower()
    return {token for part in text.split(",") if (token := part.strip())}
