"""What `sluice dev` prints."""

from __future__ import annotations

import sys

from rich.console import Console, RenderableType

from sluice.cli import console
from sluice.cli.listing import WIDE


class DevOutput:
    """Standard output. What services print is held back until `release`: while they start."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._console = Console(
            highlight=False,
            markup=False,
            soft_wrap=True,
            width=None if sys.stdout.isatty() else WIDE,
        )
        self._held: list[tuple[str, str]] | None = []

    def print(self, what: RenderableType) -> None:
        """Print anything that rich can."""
        self._console.print(what)

    def say(self, text: str) -> None:
        """Print a line of our own."""
        self.print(console.own_line(text))

    def service_line(self, service: str, line: str) -> None:
        """Print a line of a service, if people want to see it."""
        if self._held is not None:
            self._held.append((service, line))
            return
        shown = console.render(service, line, verbose=self._verbose)
        if shown is not None:
            self.print(shown)

    def release(self) -> None:
        """Print what was held back, and hold back no more."""
        held, self._held = self._held or [], None
        for service, line in held:
            self.service_line(service, line)
