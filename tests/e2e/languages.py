"""The languages of the three Workers of a chain: every combination of JavaScript and Python."""

from __future__ import annotations

from enum import StrEnum
from itertools import product
from typing import NamedTuple


class Language(StrEnum):
    """A language that Workers are written in: the suffix of its files."""

    JAVASCRIPT = "js"
    PYTHON = "py"


class Languages(NamedTuple):
    """The language of each role."""

    dispatch: Language
    user: Language
    outbound: Language

    def __str__(self) -> str:
        return "-".join(self)


COMBINATIONS = [Languages(*languages) for languages in product(Language, repeat=3)]
JAVASCRIPT, PYTHON = COMBINATIONS[0], COMBINATIONS[-1]
"""One language alone: enough for tests that concern each service by itself."""
