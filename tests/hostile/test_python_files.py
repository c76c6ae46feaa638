"""A Python Worker that looks for files, and for places to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.puppet import Puppet

SECRETS = [
    "/etc/passwd",
    "/etc/shadow",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/proc/self/environ",
    "/proc/self/maps",
    "/proc/self/mem",
    "/proc/self/cgroup",
    "/proc/self/status",
    "/proc/thread-self/fd/3",
    "/proc/1/environ",
    "/proc/meminfo",
    "/proc/kallsyms",
    "/sys/kernel/uevent_seqnum",
    "/sys/fs/cgroup/cgroup.procs",
    "/dev/mem",
    "/dev/kmsg",
    "/dev/random",
    "/dev/ptmx",
    "/run/secrets",
    "/var/run/docker.sock",
    "/bin/sh",
    "/usr/bin/env",
    str(Path.home() / ".ssh"),
    str(Path(__file__)),
    str(Path(__file__).parents[2] / "pyproject.toml"),
    str(Path(__file__).parents[2] / "sluice/isolate/runner.py"),
]

READS = {
    "open": "open(path, 'rb').read(1)",
    "a listing": "os.listdir(path)",
    "openat by system call": "call(257, -100, path.encode(), 0, 0)",
    "openat2": "call(437, -100, path.encode(), bytes(24), 24)",
    "a way round": "open('modules/../../../../../../../..' + path, 'rb').read(1)",
    "a handle": "call(303, -100, path.encode(), ctypes.create_string_buffer(256), ctypes.create_string_buffer(8), 0)",
    "a map": "mmap.mmap(os.open(path, os.O_RDONLY), 0, prot=mmap.PROT_READ)",
    "ctypes": "ctypes.CDLL(path)",
}  # fmt: skip


@pytest.mark.parametrize("way", READS)
async def test_read(puppet: Puppet, way: str) -> None:
    """No file of the machine, of the service or of the repository can be read, in any way."""
    said = await puppet.run(
        f"""
        read = {{}}
        for path in {SECRETS}:
            try: read[path] = repr({READS[way]})
            except OSError: pass
        return read
        """
    )
    assert said == {}


async def test_what_can_be_listed(puppet: Puppet) -> None:
    """Of its folder it sees the bundle and two sockets; beside it, nobody."""
    assert sorted(await puppet.run("return os.listdir('.')")) == [
        "egress.sock",
        "in.sock",
        "modules",
        "worker.json",
    ]
    for path in ("..", "../..", str(puppet.folder), "/"):
        assert await puppet.run(f"return os.listdir({path!r})") in ("EACCES", "ENOENT")


async def test_a_neighbours_files(puppet: Puppet) -> None:
    """The files of another Worker, by their very paths."""
    before = puppet.folders()
    await puppet.run("return 1", name="with secrets")
    (victim,) = puppet.folders() - before
    for name in ("worker.json", "modules/main.py"):
        assert await puppet.run(f"return open('{victim}/{name}').read()") in ("EACCES", "ENOENT")


WRITES = {
    "create": "os.open(path + '/new', os.O_WRONLY | os.O_CREAT, 0o600)",
    "a nameless file": "os.open(path, os.O_TMPFILE | os.O_RDWR, 0o600)",
    "a folder": "os.mkdir(path + '/new')",
    "a link": "os.symlink('/etc', path + '/new')",
    "a hard link": "os.link(os.__file__, path + '/new')",
    "a pipe": "os.mkfifo(path + '/new')",
    "a device": "os.mknod(path + '/new', 0o020666, os.makedev(1, 1))",
    "a rename": "os.rename(path, path + '.old')",
    "remove": "os.remove(path)",
    "rmdir": "os.rmdir(path)",
    "mode": "os.chmod(path, 0o777)",
    "owner": "os.chown(path, 0, 0)",
    "times": "os.utime(path)",
    "attribute": "os.setxattr(path, 'user.x', b'')",
    "mount": "call(165, b'none', path.encode(), b'tmpfs', 0, 0)",
    "chroot": "os.chroot(path)",
    "truncate": "os.truncate(path, 0)",
    "open to write": "os.open(path, os.O_WRONLY)",
    "open to both": "os.open(path, os.O_RDWR)",
    "open to append": "os.open(path, os.O_WRONLY | os.O_APPEND)",
    "open to empty": "os.open(path, os.O_RDONLY | os.O_TRUNC)",
    "ftruncate": "os.ftruncate(os.open(path, os.O_RDONLY), 0)",
    "fallocate": "os.posix_fallocate(os.open(path, os.O_RDONLY), 0, 1)",
    "a map that is shared": "mmap.mmap(os.open(path, os.O_RDONLY), 1, prot=mmap.PROT_READ | mmap.PROT_WRITE)",
    "a lease": "fcntl.fcntl(os.open(path, os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_WRLCK)",
    "a notice": "fcntl.fcntl(os.open(path, os.O_RDONLY), fcntl.F_NOTIFY, 1)",
    "inotify": "call(294, 0)",
    "fanotify": "call(300, 0, 0)",
    "memory that is a file": "call(319, b'x', 0)",
}  # fmt: skip
PLACES = ["modules", "modules/main.py", "worker.json", "egress.sock", ".", "/", "/tmp", "/dev/shm", "/dev", "/usr/share/zoneinfo", "/worker"]  # fmt: skip


@pytest.mark.parametrize("way", WRITES)
async def test_write(puppet: Puppet, way: str) -> None:
    """Nothing can be made, changed, locked away or watched: not even what is its own."""
    said = await puppet.run(
        f"""
        done = []
        for path in [*{PLACES}, os.__file__, os.path.dirname(os.__file__), sys.modules["workers"].__file__]:
            try: {WRITES[way]}; done.append(path)
            except OSError: pass
            except ValueError: pass  # mmap of what is empty
        return done
        """
    )
    assert said == []


async def test_devices(puppet: Puppet) -> None:
    """Of devices it has the null device and random numbers, and what is written there is gone."""
    said = await puppet.run(
        """
        with open("/dev/null", "wb") as null: null.write(b"x" * 100)
        return len(open("/dev/null", "rb").read()), len(os.urandom(8))
        """
    )
    assert said == [0, 8]
    assert await puppet.run("os.open('/dev/urandom', os.O_WRONLY)") == "EACCES"
