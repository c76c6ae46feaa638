"""What the demo prints: what was seen, and whether it is as promised."""

from __future__ import annotations

import re

from claims import Claims
from rich.console import Console
from rich.text import Text

_TOKEN = re.compile(r"(Bearer \S{12})\S+")


class Report:
    """Prints, and remembers what does not hold."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self._count = 0
        self._console = Console(highlight=False, soft_wrap=True)

    def heading(self, title: str, note: str = "") -> None:
        """Begin a part."""
        self._console.print()
        self._console.print(Text.assemble((title, "bold"), f"  {note}"))

    def seen(self, hop: str, what: str) -> None:
        """Print what was seen at a hop, a token cut short."""
        shown = _TOKEN.sub(r"\1…", what).replace("\n", "  ")
        self._console.print(Text.assemble((f"  {hop:13}", "cyan"), shown))

    def line(self, text: str) -> None:
        """Print a line as it is."""
        self._console.print(Text(f"  {text}"))

    def check(self, about: str, claims: Claims) -> None:
        """Print each claim, and whether it holds."""
        try:
            for claim, holds in claims:
                self._count += 1
                style = "green" if holds else "bold red"
                self._console.print(Text(f"  {'✓' if holds else '✗'} {claim}", style))
                if not holds:
                    self.failed.append(f"{about}: {claim}")
        except (LookupError, ValueError) as error:  # what the claim is about is not there
            self.failed.append(f"{about}: {error!r}")

    def end(self) -> int:
        """Print the sum of it. Returns the exit code."""
        self._console.print()
        for failure in self.failed:
            self._console.print(Text(f"✗ {failure}", "bold red"))
        if not self.failed:
            self._console.print(Text(f"All {self._count} claims hold.", "bold green"))
        return 1 if self.failed else 0
