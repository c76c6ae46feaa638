"""Header fields, to a block of bytes and back (HPACK, RFC 7541)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TypeAlias

import hpack

from sluice.http2.failure import Code, ConnectionFailure

Fields: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Names, lowercase, and values, in order."""

NO_TABLE = b"\x20"
"""Before the first block: this encoder has no dynamic table (section 6.3)."""

_LITERAL = (0x00, 0x10)  # a literal with a literal name: not indexed, and never indexed
_SHORT = 0x7F  # a length from here on has more bytes; one bit more says that it is Huffman coded
_OVERHEAD = 32  # bytes that a field counts besides its own (RFC 9113 section 6.5.2)
_OFTEN = 160  # bytes of a block that is soon seen again: those of responses, without variable parts


# At its DEBUG it writes every field that it decodes, and so tokens.
logging.getLogger("hpack").setLevel(logging.WARNING)


def encode(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A block that needs no table: literals, not indexed, not Huffman coded (section 6.2.2)."""
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in fields)


class Decoder:
    """Reads the blocks of one connection, each decoded to at most `most` bytes of fields.

    Blocks of literals alone, which `encode` makes, are read here, in microseconds; any other by
    the hpack library, in ten times as many. That keeps the far side's dynamic table, of at most
    4,096 bytes, which literals alone do not change.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._decoder = hpack.Decoder(max_header_list_size=most)

    def decode(self, block: bytes) -> Fields:
        """The fields of a block. Raises `ConnectionFailure`."""
        literals = _often(block) if len(block) < _OFTEN else _literals(block)
        if literals is not None and len(block) + _OVERHEAD * len(literals) <= self._most:
            return literals
        try:
            return [(bytes(name), bytes(value)) for name, value in self._decode(block)]
        except hpack.OversizedHeaderListError as error:
            raise ConnectionFailure(Code.ENHANCE_YOUR_CALM, str(error)) from error
        except (hpack.HPACKError, ValueError, IndexError) as error:
            raise ConnectionFailure(Code.COMPRESSION_ERROR, str(error)[:200]) from error

    def _decode(self, block: bytes) -> Iterable[tuple[bytes, bytes]]:
        fields: Iterable[tuple[bytes, bytes]] = self._decoder.decode(block, raw=True)
        return fields


def _literals(block: bytes) -> Fields | None:
    """The fields of a block of short literals. None for any other."""
    fields: list[tuple[bytes, bytes]] = []
    at, size = 0, len(block)
    try:
        while at < size:
            if block[at] not in _LITERAL:
                return None
            length = block[at + 1]
            middle = at + 2 + length
            more = block[middle]
            if length >= _SHORT or more >= _SHORT:
                return None
            at, begin = middle + 1 + more, at + 2
            fields.append((block[begin:middle], block[middle + 1 : at]))
    except IndexError:
        return None
    return tuple(fields) if at == size else None


_often = lru_cache(maxsize=128)(_literals)


def _string(data: bytes) -> bytes:
    """A string literal (section 5.2), with its length as an integer (section 5.1)."""
    size = len(data)
    if size < _SHORT:
        return bytes((size,)) + data
    prefix, size = bytearray((_SHORT,)), size - _SHORT
    while size >= 0x80:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    prefix.append(size)
    return bytes(prefix) + data
