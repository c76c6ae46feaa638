"""Generate the stubs of `protos/` into `sluice/pb`, or prove them current with `--check`."""

from __future__ import annotations

import filecmp
import re
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
STUBS = ROOT / "sluice" / "pb"


def generate(out: Path) -> None:
    """Write the stubs to `out`, importing one another as `sluice.pb`."""
    with tempfile.TemporaryDirectory() as tmp:
        arguments = [
            "protoc",
            f"-I{PROTOS}",
            f"-I{Path(grpc_tools.__file__).parent / '_proto'}",
            f"--python_out={tmp}",
            f"--pyi_out={tmp}",
            f"--grpc_python_out={tmp}",
            *map(str, sorted(PROTOS.glob("sluice/v1/*.proto"))),
        ]
        if protoc.main(arguments):
            raise SystemExit("protoc failed")
        for generated in sorted(Path(tmp, "sluice", "v1").iterdir()):
            text = generated.read_text()
            if generated.name.endswith("_pb2_grpc.py") and "Stub" not in text:
                continue
            text = re.sub(r"\bsluice\.v1\b(?= import|\.\w+_pb2')", "sluice.pb", text)
            (out / generated.name).write_text(text)


def stale(stubs: Path = STUBS) -> list[str]:
    """Names of the stubs that differ from what `protos/` gives today."""
    with tempfile.TemporaryDirectory() as tmp:
        generate(Path(tmp))
        names = {p.name for p in Path(tmp).iterdir()} | {p.name for p in stubs.glob("*_pb2*")}
        _, differing, missing = filecmp.cmpfiles(tmp, stubs, sorted(names), shallow=False)
    return differing + missing


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        if found := stale():
            raise SystemExit(f"stubs are not current, run `make protos`: {', '.join(found)}")
    else:
        for stub in STUBS.glob("*_pb2*"):
            stub.unlink()
        generate(STUBS)
