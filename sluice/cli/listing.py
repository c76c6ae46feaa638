"""How namespaces and Workers are printed: a table for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence

import click
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDE = 10_000
"""Columns of what is no terminal: nothing is cut."""

DIGEST_LENGTH = 12
"""Characters of a digest that people get to see."""


def print_json(value: Message | Sequence[Message] | Sequence[str]) -> None:
    """Print messages in protobuf's JSON mapping, with the names of `protos/`, none left out."""
    plain = _plain(value) if isinstance(value, Message) else [_plain(item) for item in value]
    click.echo(json.dumps(plain, indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their columns. A terminal cuts what does not fit; a pipe gets all of it."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    width = None if sys.stdout.isatty() else WIDE
    Console(highlight=False, width=width).print(table)


def moment(time: Timestamp) -> str:
    """A point in time, in UTC, to the second."""
    return time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S")


def short(digest: str) -> str:
    """The beginning of a digest."""
    return digest[:DIGEST_LENGTH]


def size(count: int) -> str:
    """A number of bytes, for people."""
    if count < 1024:
        return f"{count} B"
    if count < 1024 * 1024:
        return f"{count / 1024:.1f} KiB"
    return f"{count / 1024 / 1024:.1f} MiB"


def _plain(value: Message | str) -> object:
    if isinstance(value, str):
        return value
    return json_format.MessageToDict(
        value, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
