"""How a command says that it could not do what it was asked."""

from __future__ import annotations

from typing import IO, Any

import click


class Failure(click.ClickException):
    """One line on standard error, and exit code 1."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it."""
        click.echo(f"error: {self.message}", file=file, err=file is None)
