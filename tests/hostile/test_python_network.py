"""A Python Worker that wants to the network, by Python and by raw system calls."""

from __future__ import annotations

import socket

import pytest

from tests.hostile.puppet import Puppet

ONLY_UNIX = [[1, 1]]

WAYS = {
    "every family, past the guest": """
        made = []
        for family in range(50):
            for kind in (1, 2, 3, 4, 5, 6, 10):
                try: _socket.socket(family, kind, 0).close(); made.append([family, kind])
                except OSError: pass
        return made""",
    "every family, by system call": """
        made = []
        for family in range(50):
            for kind in (1, 2, 3, 4, 5, 6, 10):
                try: os.close(call(41, family, kind, 0)); made.append([family, kind])
                except OSError: pass
        return made""",
    "every pair, by system call": """
        made, two = [], ctypes.create_string_buffer(8)
        for family in range(50):
            for kind in (1, 2, 3, 4, 5, 6, 10):
                try: call(53, family, kind, 0, two); made.append([family, kind])
                except OSError: pass
        return made""",
}


@pytest.mark.parametrize("way", WAYS)
async def test_families(puppet: Puppet, way: str) -> None:
    """Of all families and types only the unix stream can be made: no TCP, UDP, netlink, vsock."""
    assert await puppet.run(WAYS[way]) == ONLY_UNIX


REFUSED = {
    "a lookup": ("socket.getaddrinfo('example.com', 80)", "gaierror"),
    "a lookup by libc": ("return libc.getaddrinfo(b'localhost.test', b'80', None, ctypes.create_string_buffer(8)) and 'FAILED'", "FAILED"),
    "a connection by name": ("socket.create_connection(('127.0.0.1', 1))", "gaierror"),
    "asyncio": ("await asyncio.open_connection('127.0.0.1', 1)", "EPERM"),
    "asyncio's datagrams": ("await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=('127.0.0.1', 1))", "EPERM"),
    "TCP by sendto": ("call(44, call(41, 2, 1 | 0x800, 0), b'x', 1, 0x20000000, b'', 0)", "EAFNOSUPPORT"),
    "MPTCP": ("call(41, 2, 1, 262)", "EAFNOSUPPORT"),
    "a family with upper bits": ("call(41, 2 | 1 << 32, 1, 0)", "EAFNOSUPPORT"),
    "32-bit socketcall's number": ("call(102 | 0x40000000, 1, 0)", "ENOSYS"),
    "io_uring": ("call(425, 8, ctypes.create_string_buffer(256))", "EPERM"),
    "io_uring_enter": ("call(426, 3, 1, 0, 0, 0)", "EPERM"),
    "aio": ("call(206, 8, ctypes.create_string_buffer(8))", "EPERM"),
    "a listener of its own": ("s = _socket.socket(1, 1); s.bind('\\0mine')", "EPERM"),
    "a listener at a path": ("s = _socket.socket(1, 1); s.bind('mine.sock')", "EPERM"),
    "urgent data": ("a, b = socket.socketpair(); a.send(b'x', socket.MSG_OOB)", "EPERM"),
    "urgent data by sendmsg": ("a, b = socket.socketpair(); a.sendmsg([b'x'], (), socket.MSG_OOB)", "EPERM"),
    "to receive urgent data": ("a, b = socket.socketpair(); b.recv(1, socket.MSG_OOB)", "EPERM"),
    "a filter program": ("a, b = socket.socketpair(); a.setsockopt(1, 26, bytes(16))", "EPERM"),
    "a larger buffer": ("a, b = socket.socketpair(); a.setsockopt(1, socket.SO_SNDBUF, 1 << 24)", "EPERM"),
    "a larger pipe": ("r, w = os.pipe(); fcntl.fcntl(w, 1031, 1 << 20)", "EPERM"),
    "an old abstract socket": ("_socket.socket(1, 1).connect('\\0sluice')", ("EPERM", "ECONNREFUSED")),
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


async def test_neighbours_sockets(puppet: Puppet) -> None:
    """Another Worker's sockets, by their very paths: not there; without a root, nobody answers."""
    before = puppet.folders()
    await puppet.run("return 1", name="a neighbour")
    (victim,) = puppet.folders() - before
    said = await puppet.run(
        f"""
        answers = []
        for name in ("egress.sock", "in.sock"):
            peer = _socket.socket(1, 1)
            peer.settimeout(5)
            try:
                peer.connect("{victim}/" + name)
                peer.sendall(b"GET http://a.test/ HTTP/1.1\\r\\nhost: a.test\\r\\n\\r\\n")
                answers.append(peer.recv(100).decode()[:12])
            except OSError as error:
                answers.append(errno.errorcode.get(error.errno))
        return answers
        """
    )
    if puppet.has_own_root:
        assert said == ["ENOENT", "ENOENT"]
    else:  # SECURITY.md: Landlock has no say in connect(); the name of the folder keeps it out
        assert said[0] in ("EPIPE", "ECONNRESET", "")
    assert puppet.workers.subrequests == []


async def test_sockets_of_the_machine(puppet: Puppet) -> None:
    """A socket of the machine that its user may open, say of a D-Bus: not in a root of its own."""
    path = puppet.folder / "machine.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        said = await puppet.run(f"_socket.socket(1, 1).connect('{path}')")
    path.unlink()
    if not puppet.has_own_root:
        pytest.skip("known: without namespaces or uids, connect() to a path is open (SECURITY.md)")
    assert said == "ENOENT"


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
