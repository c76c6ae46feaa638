"""The command line of bubblewrap: a root with nothing in it but what the Worker's process needs.

Options: bwrap(1). No `/proc`, no `/etc`, no network but what its one folder holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

FOLDER = "/worker"
"""Where the process finds its folder, read-only."""

DEVICES = ("/dev/null", "/dev/urandom")
"""What it finds in `/dev`."""


def command(
    bwrap: str,
    program: Sequence[str],
    *,
    folder: str,
    read_only: Iterable[str],
    seccomp: int,
    info: int,
) -> list[str]:
    """Run `program` in `folder`, with the paths `read_only` where they are.

    `seccomp` and `info` are descriptors: the filter is read from one, and bwrap writes to the other
    which process it started.
    """
    return [
        bwrap,
        *("--unshare-all", "--unshare-user", "--disable-userns", "--uid", "1000", "--gid", "1000"),
        *("--die-with-parent", "--new-session", "--as-pid-1", "--clearenv", "--cap-drop", "ALL"),
        *("--hostname", "worker"),
        *(word for path in read_only for word in ("--ro-bind", path, path)),
        *(word for path in DEVICES for word in ("--dev-bind", path, path)),
        # workerd looks itself up, and complains on its output where it is not there.
        *("--symlink", program[0], "/proc/self/exe"),
        *("--ro-bind", folder, FOLDER, "--remount-ro", "/", "--chdir", FOLDER),
        *("--seccomp", str(seccomp), "--info-fd", str(info), "--"),
        *program,
    ]
