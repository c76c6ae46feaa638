"""What a bundle and a name must be, wherever they come from."""

from __future__ import annotations

from sluice.pb import worker_pb2


def validate(bundle: worker_pb2.Bundle) -> None:
    """Raise `INVALID_BUNDLE`, naming what is wrong and where, unless `bundle` can be a Worker."""
    raise NotImplementedError


def check_name(name: str, what: str) -> None:
    """Raise `INVALID_REQUEST` unless `name` can name a Worker or namespace; `what` is the field."""
    raise NotImplementedError
