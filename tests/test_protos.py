"""The contract, what was generated from it, and the error table agree."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from scripts import generate_protos
from sluice.wire.errors import Reason

PROTOS = Path(__file__).parent.parent / "protos"
_ROW = re.compile(
    r"(?P<comment>(?:^  //.*\n)+)^  ERROR_REASON_(?P<name>\w+) = (?P<number>\d+);", re.MULTILINE
)
_STATED = re.compile(r"`([A-Z_]+)`, HTTP (\d{3})\.")


def test_stubs_are_current() -> None:
    """`make protos` would change nothing."""
    assert generate_protos.stale() == []


def test_a_stub_that_differs_is_found(tmp_path: Path) -> None:
    """The check above sees a stub that was edited, one that is gone and one that is left over."""
    generate_protos.generate(tmp_path)
    assert generate_protos.stale(tmp_path) == []
    (tmp_path / "http_pb2.py").write_text("edited")
    (tmp_path / "worker_pb2.py").unlink()
    (tmp_path / "gone_pb2.py").touch()
    assert sorted(generate_protos.stale(tmp_path)) == [
        "gone_pb2.py",
        "http_pb2.py",
        "worker_pb2.py",
    ]


def test_the_error_table_is_the_contracts() -> None:
    """Every reason has the name, gRPC code and HTTP status that the contract states, in order."""
    stated = []
    text = (PROTOS / "sluice/v1/error_reason.proto").read_text()
    for row in _ROW.finditer(text):
        if row["name"] == "UNSPECIFIED":
            continue
        comment = row["comment"].replace("\n  //", "")
        codes = _STATED.findall(comment)
        assert len(codes) == 1, f"{row['name']}: states no code and HTTP status"
        stated.append((int(row["number"]), row["name"], codes[0][0], int(codes[0][1])))
    assert stated == [
        (number, reason.name, reason.code.name, reason.http_status)
        for number, reason in enumerate(Reason, start=1)
    ]


def test_the_protos_are_lint_clean() -> None:
    """`buf lint` (STANDARD and COMMENTS, see buf.yaml) has nothing to say."""
    buf = Path(sys.executable).parent / "buf"
    lint = subprocess.run([buf, "lint"], cwd=PROTOS.parent, capture_output=True, text=True)
    assert (lint.returncode, lint.stdout) == (0, ""), lint.stderr
