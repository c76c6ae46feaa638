"""Folders of isolates, and who removes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sluice.isolate.folder import Folder, sweep

OTHER = """
import os, sys
from pathlib import Path
from sluice.isolate.folder import Folder
folder = Folder(Path(sys.argv[1]))
(folder.path / "in.sock").touch()
print(folder.path, flush=True)
sys.stdin.read()
os._exit(9)
"""


def test_a_folder(tmp_path: Path) -> None:
    """It is its owner's only, and goes with all that is in it."""
    folder = Folder(tmp_path)
    assert folder.path.stat().st_mode & 0o777 == 0o700
    (folder.path / "deep").mkdir()
    (folder.path / "deep" / "file").touch()
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_service_left_is_removed(tmp_path: Path) -> None:
    """While that service lives its folders stay, and so do ours; then they go."""
    ours = Folder(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout
        theirs = Path(other.stdout.readline().strip())
        assert sweep(tmp_path) == 0
        assert theirs.exists()
    assert sweep(tmp_path) == 1
    assert list(tmp_path.iterdir()) == [ours.path]
    ours.remove()


def test_what_is_no_isolates_stays(tmp_path: Path) -> None:
    """The folder may be the system's temporary one."""
    kept = [tmp_path / "i-short", tmp_path / ("j-" + "a" * 22), tmp_path / ("i-" + "a" * 22 + "x")]
    for path in kept:
        path.mkdir()
    (tmp_path / ("i-" + "a" * 22)).symlink_to(kept[0])
    assert sweep(tmp_path) == 0
    assert all(path.exists() for path in kept)
