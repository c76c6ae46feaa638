"""The languages of the three Workers of a chain: every combination of JavaScript and Python."""

from __future__ import annotations

import os
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


_ALL = [Languages(*languages) for languages in product(Language, repeat=3)]
JAVASCRIPT, PYTHON = _ALL[0], _ALL[-1]
"""One language alone: enough for tests that concern each service by itself."""

_IN_PAIRS = [languages for languages in _ALL if languages.count(Language.PYTHON) % 2 == 0]

COMBINATIONS = _ALL if os.environ.get("SLUICE_TEST_LANGUAGES") == "all" else _IN_PAIRS
"""The chains that tests run in: `SLUICE_TEST_LANGUAGES=all` for all eight. By default the four in
which each two roles meet in each pair of languages: the whole run has ten minutes."""
