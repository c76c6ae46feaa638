"""Settings are read one way, and every error names the variable."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sluice.mesh.env import Address, Environment, SettingError


def env(**variables: str) -> Environment:
    """An environment of these settings."""
    return Environment({f"SLUICE_{name}": value for name, value in variables.items()})


Read = Callable[[Environment], object]


@pytest.mark.parametrize(
    ("value", "read", "expected"),
    [
        ("acme", lambda e: e.text("X", None), "acme"),
        ("  acme\n", lambda e: e.text("X", None), "acme"),  # a value from a file ends in a newline
        ("", lambda e: e.text("X", "acme"), "acme"),  # compose passes unset variables as empty
        ("", lambda e: e.text("X", ""), ""),
        ("127.0.0.1:50051", lambda e: e.address("X", None), Address("127.0.0.1", 50051)),
        ("[::1]:0", lambda e: e.address("X", None), Address("::1", 0)),
        ("user-worker.mesh:1", lambda e: e.address("X", None), Address("user-worker.mesh", 1)),
        ("250ms", lambda e: e.duration("X", "1s"), 0.25),
        ("1.5s", lambda e: e.duration("X", "1s"), 1.5),
        ("5m", lambda e: e.duration("X", "1s"), 300.0),
        ("1h", lambda e: e.duration("X", "1s"), 3600.0),
        ("", lambda e: e.duration("X", "30s"), 30.0),
        ("512B", lambda e: e.size("X", "1B"), 512),
        ("64KiB", lambda e: e.size("X", "1B"), 65536),
        ("128MiB", lambda e: e.size("X", "1B"), 128 * 1024 * 1024),
        ("2GiB", lambda e: e.size("X", "1B"), 2 * 1024**3),
        ("0", lambda e: e.integer("X", 7), 0),
        ("", lambda e: e.integer("X", 7), 7),
        ("-3", lambda e: e.integer("X", 7, least=-3), -3),
        ("9", lambda e: e.integer("X", 7, most=9), 9),
        ("1", lambda e: e.flag("X"), True),
        ("0", lambda e: e.flag("X"), False),
        ("", lambda e: e.flag("X"), False),
        (" a, b ,,c ", lambda e: e.words("X"), ("a", "b", "c")),
        ("", lambda e: e.words("X"), ()),
    ],
)
def test_values(value: str, read: Read, expected: object) -> None:
    """A value is read as its setting's type."""
    assert read(env(X=value)) == expected


@pytest.mark.parametrize(
    ("value", "read", "message"),
    [
        ("", lambda e: e.text("X", None), "must be set"),
        ("", lambda e: e.address("X", None), "must be set"),
        (
            "50051",
            lambda e: e.address("X", None),
            "'50051' is not an address (like 127.0.0.1:50051",
        ),
        (":50051", lambda e: e.address("X", None), "is not an address"),
        ("::1:50051", lambda e: e.address("X", None), "is not an address"),  # which colon?
        ("[1.2.3.4]:80", lambda e: e.address("X", None), "is not an address"),
        ("[::z]:80", lambda e: e.address("X", None), "is not an address"),
        ("host:65536", lambda e: e.address("X", None), "is not an address"),
        ("host:٣", lambda e: e.address("X", None), "is not an address"),  # a digit to int()
        ("http://host:80", lambda e: e.address("X", None), "is not an address"),
        ("5 minutes", lambda e: e.duration("X", "1s"), "'5 minutes' is not a duration (like 250ms"),
        ("30", lambda e: e.duration("X", "1s"), "is not a duration"),  # of what?
        ("-1s", lambda e: e.duration("X", "1s"), "is not a duration"),
        ("9999999999s", lambda e: e.duration("X", "1s"), "is not a duration"),
        ("64KB", lambda e: e.size("X", "1B"), "is not a size"),  # 1000 or 1024?
        ("65536", lambda e: e.size("X", "1B"), "is not a size"),
        ("seven", lambda e: e.integer("X", 7), "'seven' is not a whole number"),
        ("1e3", lambda e: e.integer("X", 7), "is not a whole number"),
        ("-1", lambda e: e.integer("X", 7), "-1 is out of range (at least 0)"),
        ("10", lambda e: e.integer("X", 7, least=1, most=9), "10 is out of range (1 to 9)"),
        ("true", lambda e: e.flag("X"), "'true' is not a switch (1 or 0)"),
    ],
)
def test_errors_name_the_variable(value: str, read: Read, message: str) -> None:
    """A value of the wrong type names the variable, the value and what would do."""
    with pytest.raises(SettingError) as caught:
        read(env(X=value))
    assert str(caught.value).startswith("SLUICE_X: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),  # all of 127/8
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # every interface
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
        ("127.1", False),  # a name, to this code: the safe side
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    """Only an address that no other machine can reach is loopback."""
    assert Address(host, 1).is_loopback is expected


def test_an_address_prints_as_it_is_written() -> None:
    """`str` of an address is what `address` reads."""
    for text in ("127.0.0.1:1", "[::1]:2", "dispatcher:50051"):
        assert str(env(X=text).address("X", None)) == text


def test_unknown_variables_are_warned_about() -> None:
    """A variable that nobody asked for is named, with the nearest one that exists."""
    environment = Environment(
        {"SLUICE_DRAIN_GRAC": "1s", "SLUICE_DRAIN_GRACE": "1s", "SLUICE_ZEBRA": "1", "HOME": "/"}
    )
    environment.duration("DRAIN_GRACE", "30s")
    assert environment.unknown() == [
        "SLUICE_DRAIN_GRAC: not a setting of Sluice (did you mean SLUICE_DRAIN_GRACE?)",
        "SLUICE_ZEBRA: not a setting of Sluice",
    ]
