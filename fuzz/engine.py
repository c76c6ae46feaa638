"""One fuzzing process: `python -m fuzz.engine TARGET FOLDER [libFuzzer option]...`.

atheris is libFuzzer for Python: it changes inputs, and keeps those that reach new code. Findings
are kept in `FOLDER/findings` and the run goes on; only what ends the process (a hang, memory) is
libFuzzer's to report.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import atheris

from fuzz.findings import Findings, judge
from fuzz.target import Target, load

_INSTRUMENTED = [
    "sluice",
    "services",
    "json5",
    "dotenv",
    "tomllib",
    "wsproto",
    "urllib",
    "hpack",
    "fuzz",
]
_NOT_INSTRUMENTED = ["sluice.pb", "fuzz.engine", "fuzz.findings", "fuzz.target"]


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    name, folder, *options = sys.argv[1:]
    logging.getLogger().addHandler(logging.NullHandler())
    with atheris.instrument_imports(include=_INSTRUMENTED, exclude=_NOT_INSTRUMENTED):
        target = load(name)
    corpus = Path(folder) / "corpus"
    _seed(target, corpus)
    findings = Findings(Path(folder) / "findings")

    def test(data: bytes) -> None:
        finding = judge(target, data)
        if finding is not None and (path := findings.keep(finding, data)):
            print(f"FOUND {finding.place}: {path}", file=sys.stderr, flush=True)

    atheris.Setup([sys.argv[0], *options, str(corpus)], test)
    atheris.Fuzz()


def _seed(target: Target, corpus: Path) -> None:
    corpus.mkdir(parents=True, exist_ok=True)
    for at, data in enumerate(target.inputs().values()):
        (corpus / f"seed-{at}").write_bytes(data)


if __name__ == "__main__":
    main()
