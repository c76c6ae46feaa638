"""A Python Worker that wants to the network, by Python and by raw system calls."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.hostile.puppet import Puppet

# What each makes of families and types: only a pair of unix streams, which asyncio needs.
WAYS = {
    "every family, past the guest": ([], """
        made = []
        for family in range(50):
            for kind in (1, 2, 3, 4, 5, 6, 10):
                try: _socket.socket(family, kind, 0).close(); made.append([family, kind])
                except OSError: pass
        return made"""),
    "every family, by system call": ([], """
        made = []
        for family in range(50):
            for kind in (1, 2, 3, 4, 5, 6, 10):
                try: os.close(call(41, family, kind, 0)); made.append([family, kind])
                except OSError: pass
        return made"""),
    "every pair, by system call": ([[1, 1]], """
        made, two = [], ctypes.create_string_buffer(8)
        for family in range(50):
            for kind in (1, 2, 3, 4, 5, 6, 10):
                try: call(53, family, kind, 0, two); made.append([family, kind])
                except OSError: pass
        return made"""),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
async def test_families(puppet: Puppet, way: str) -> None:
    """Of no family a socket can be made, but a pair of unix streams: no TCP, UDP, netlink, vsock."""
    expected, code = WAYS[way]
    assert await puppet.run(code) == expected


REFUSED = {
    "a lookup": ("socket.getaddrinfo('example.com', 80)", "gaierror"),
    "a lookup by libc": ("return libc.getaddrinfo(b'localhost.test', b'80', None, ctypes.create_string_buffer(8)) and 'FAILED'", "FAILED"),
    "a connection by name": ("socket.create_connection(('127.0.0.1', 1))", "gaierror"),
    "asyncio": ("await asyncio.open_connection('127.0.0.1', 1)", "EPERM"),
    "asyncio's datagrams": ("await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=('127.0.0.1', 1))", "EPERM"),
    "TCP by sendto": ("call(44, call(41, 2, 1 | 0x800, 0), b'x', 1, 0x20000000, b'', 0)", "EPERM"),
    "MPTCP": ("call(41, 2, 1, 262)", "EPERM"),
    "a family with upper bits": ("call(41, 1 | 1 << 32, 1, 0)", "EPERM"),
    "a unix socket": ("socket.socket(socket.AF_UNIX)", "EPERM"),
    "a unix socket of asyncio's": ("await asyncio.open_unix_connection('in.sock')", "EPERM"),
    "a pair of TCP": ("call(53, 2, 1, 0, ctypes.create_string_buffer(8))", "EAFNOSUPPORT"),
    "32-bit socketcall's number": ("call(102 | 0x40000000, 1, 0)", "ENOSYS"),
    "io_uring": ("call(425, 8, ctypes.create_string_buffer(256))", "EPERM"),
    "io_uring_enter": ("call(426, 3, 1, 0, 0, 0)", "EPERM"),
    "aio": ("call(206, 8, ctypes.create_string_buffer(8))", "EPERM"),
    "a listener of its own": ("a, b = socket.socketpair(); a.bind('\\0mine')", "EPERM"),
    "a listener at a path": ("a, b = socket.socketpair(); a.bind('mine.sock')", "EPERM"),
    "a pair that listens": ("a, b = socket.socketpair(); a.listen()", "EPERM"),
    "urgent data": ("a, b = socket.socketpair(); a.send(b'x', socket.MSG_OOB)", "EPERM"),
    "urgent data by sendmsg": ("a, b = socket.socketpair(); a.sendmsg([b'x'], (), socket.MSG_OOB)", "EPERM"),
    "to receive urgent data": ("a, b = socket.socketpair(); b.recv(1, socket.MSG_OOB)", "EPERM"),
    "a filter program": ("a, b = socket.socketpair(); a.setsockopt(1, 26, bytes(16))", "EPERM"),
    "a larger buffer": ("a, b = socket.socketpair(); a.setsockopt(1, socket.SO_SNDBUF, 1 << 24)", "EPERM"),
    "a larger pipe": ("r, w = os.pipe(); fcntl.fcntl(w, 1031, 1 << 20)", "EPERM"),
    "many messages at once": ("a, b = socket.socketpair(); call(307, a.fileno(), bytes(64), 1, 0)", "EPERM"),
    "a descriptor of the service": ("call(438, os.getppid(), 0, 0)", "EPERM"),
    "a network namespace": ("call(272, 0x40000000)", "EPERM"),
    "a terminal": ("os.open('/dev/tty', os.O_RDWR)", ("ENOENT", "EACCES", "ENXIO")),
}  # fmt: skip


@pytest.mark.parametrize("way", REFUSED)
async def test_refused(puppet: Puppet, way: str) -> None:
    """Each other way to the network, or to more of the kernel's, is refused by name."""
    code, error = REFUSED[way]
    said = await puppet.run(code)
    assert said in ((error,) if isinstance(error, str) else error)


# By what code might connect: a socket that it made, one of a pair, one whose peer has closed, the
# listener, the broker, a connection to the egress.
CONNECTED = """
    a, b = socket.socketpair()
    c, d = socket.socketpair()
    d.close()
    where = {where!r}
    address = struct.pack("H", 1) + where.encode() + bytes(1)
    said = []
    for number in (a.fileno(), c.fileno(), 3, 4, egress().detach(), 99):
        try: said.append(call(42, number, address, len(address)))
        except OSError as error: said.append(errno.errorcode[error.errno])
    try: said.append(_socket.socket(1, 1).connect(where))
    except OSError as error: said.append(errno.errorcode[error.errno])
    try: said.append(c.sendto(b"x", where))
    except OSError as error: said.append(errno.errorcode[error.errno])
    return said
"""
NOTHING = [["EPERM"] * 7 + [error] for error in ("EPIPE", "EISCONN", "EOPNOTSUPP")]


@pytest.mark.parametrize(
    "where", ["a path", "the machine's names", "a neighbour", "its own egress"]
)
async def test_connect(puppet: Puppet, tmp_path: Path, where: str) -> None:
    """Python code connects to no unix socket at all, whatever its user may open, in any posture."""
    before = puppet.folders()
    await puppet.run("return 1", name="a neighbour")
    neighbour = next(iter(puppet.folders() - before or puppet.folders()))
    path = tmp_path / "machine.sock"
    with socket.socket(socket.AF_UNIX) as machine, socket.socket(socket.AF_UNIX) as named:
        machine.bind(str(path))
        named.bind(f"\0sluice-test-{os.getpid()}")
        addresses = {
            "a path": str(path),  # say of a D-Bus or a Docker socket
            "the machine's names": named.getsockname().decode(),
            "a neighbour": f"{neighbour}/in.sock",
            "its own egress": "egress.sock",
        }
        for listener in (machine, named):
            listener.listen()
            listener.setblocking(False)
        said = await puppet.run(CONNECTED.replace("{where!r}", repr(addresses[where])))
        assert said in NOTHING
        for listener in (machine, named):
            with pytest.raises(BlockingIOError):
                listener.accept()
    assert puppet.workers.subrequests == []


async def test_names_of_neighbours_cannot_be_found(puppet: Puppet) -> None:
    """What would lead to a neighbour's sockets tells nothing: folders, links and the kernel's lists."""
    said = await puppet.run(
        f"""
        found = {{}}
        def attempt(name, function, *arguments):
            try: found[name] = function(*arguments)
            except OSError: pass
        for path in ("..", "{puppet.folder}", "/tmp", "/proc", "/proc/net", "/run", "/"):
            attempt("list " + path, os.listdir, path)
        for path in ("/proc/net/unix", "/proc/self/net/unix", "/proc/self/mountinfo", "/proc/mounts"):
            attempt("read " + path, lambda: open(path).read())
        for process in (os.getppid(), os.getpid() - 1, os.getpid() + 1, 1):
            for name in ("cwd", "root", "exe", "fd/3", "fd/4", "task"):
                attempt(f"link {{process}} {{name}}", os.readlink, f"/proc/{{process}}/{{name}}")
        return found
        """
    )
    assert said == {}
