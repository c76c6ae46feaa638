"""A Python Worker that starts, signals, reads or hinders processes: others, and its own limits."""

from __future__ import annotations

import os

import pytest

from sluice.wire.errors import Reason, SluiceError
from tests.hostile.puppet import Puppet

STARTS = {
    "fork": "os.fork()",
    "fork of libc": "if libc.fork() == -1: raise OSError(ctypes.get_errno(), '')",
    "vfork": "call(58)",
    "fork by system call": "call(57)",
    "clone": "call(56, 17, 0, 0, 0, 0)",
    "clone of a thread in a namespace": "call(56, 0x10000000 | 0x10000 | 0x800 | 0x100, 0, 0, 0, 0)",
    "clone3": "call(435, bytes(88), 88)",
    "posix_spawn": "os.posix_spawn('/bin/true', ['true'], {})",
    "system": "if os.system('true') == -1 or True: raise OSError(1, '')",
    "subprocess": "import subprocess; subprocess.run([sys.executable, '-c', ''])",
    "multiprocessing": "import multiprocessing; multiprocessing.get_context('fork').Process(target=print).start()",
    "a pseudo terminal": "import pty; pty.fork()",
    "exec": "os.execv(sys.executable, [sys.executable])",
    "exec of the loader": "os.execv('/lib64/ld-linux-x86-64.so.2', ['ld', sys.executable])",
    "exec of a descriptor": "os.execve(os.open(sys.executable, os.O_RDONLY), ['python'], {})",
    "execveat": "call(322, os.open(sys.executable, os.O_RDONLY), b'', 0, 0, 0x1000)",
}  # fmt: skip


@pytest.mark.parametrize("way", STARTS)
async def test_start(puppet: Puppet, way: str) -> None:
    """No process can be started, and this one can become no other program."""
    refusals = ("EPERM", "ENOSYS", "EACCES", "ENOENT", "OSError")  # the last: no terminals
    assert await puppet.run(STARTS[way]) in refusals


OTHERS = {
    "kill": "os.kill(other, 0)",
    "SIGKILL": "os.kill(other, 9)",
    "the group": "os.killpg(other, 0)",
    "tgkill": "call(234, other, other, 0)",
    "tgkill as its own": "call(234, os.getpid(), other, 0)",
    "tkill": "call(200, other, 0)",
    "sigqueue": "call(129, other, 10, bytes(128))",
    "tgsigqueue": "call(297, other, other, 10, bytes(128))",
    "pidfd": "call(434, other, 0)",
    "pidfd_send_signal": "call(424, 0, 0, 0, 0)",
    "by a socket's owner": "a, b = socket.socketpair(); fcntl.fcntl(a, fcntl.F_SETOWN, other)",
    "by a group that owns a pipe": "r, w = os.pipe(); fcntl.fcntl(r, fcntl.F_SETOWN, -other)",
    "by an owner in a structure": "a, b = socket.socketpair(); fcntl.fcntl(a, 15, struct.pack('ii', 1, other))",
    "by a socket's ioctl": "a, b = socket.socketpair(); fcntl.ioctl(a, 0x8901, struct.pack('i', other))",
    "by another signal": "a, b = socket.socketpair(); fcntl.fcntl(a, 10, 9)",
    "ptrace": "call(101, 0x4206, other, 0, 0)",
    "attach": "call(101, 16, other, 0, 0)",
    "process_vm_readv": "call(310, other, bytes(16), 1, bytes(16), 1, 0)",
    "process_vm_writev": "call(311, other, bytes(16), 1, bytes(16), 1, 0)",
    "process_madvise": "call(440, other, bytes(16), 1, 4, 0)",
    "kcmp": "call(312, os.getpid(), other, 0, 0, 0)",
    "its limits": "resource.prlimit(other, resource.RLIMIT_CPU)",
    "its limits, set": "resource.prlimit(other, resource.RLIMIT_AS, (1, 1))",
    "its niceness": "os.setpriority(os.PRIO_PROCESS, other, 19)",
    "its cores": "os.sched_setaffinity(other, [0])",
    "its scheduler": "os.sched_setscheduler(other, os.SCHED_IDLE, os.sched_param(0))",
    "its memory's place": "call(256, other, 0, 0, 0)",
    "its robust futexes": "call(274, other, ctypes.create_string_buffer(8), ctypes.create_string_buffer(8))",
    "its session": "os.getsid(other)",
    "its files": "os.listdir(f'/proc/{other}')",
    "its root": "open(f'/proc/{other}/root/etc/passwd')",
    "its memory": "open(f'/proc/{other}/mem', 'rb')",
    "its namespaces": "os.open(f'/proc/{other}/ns/net', os.O_RDONLY)",
    "its input and output": "call(252, 1, other)",
    "waiting for it": "os.waitpid(other, 0)",
}  # fmt: skip


@pytest.mark.parametrize("way", OTHERS)
async def test_others(puppet: Puppet, way: str) -> None:
    """The service, the zygote and a neighbour cannot be signalled, read, slowed or measured."""
    neighbour = await puppet.run("return os.getpid()", name="a neighbour")
    said = await puppet.run(
        f"""
        done = []
        for other in ({os.getpid()}, os.getppid(), {neighbour}, 1):
            try: {OTHERS[way]}; done.append(other)
            except OSError: pass
        return done
        """
    )
    assert said == []
    assert await puppet.run("return os.getpid()", name="a neighbour") == neighbour


KERNEL = {
    "perf": "call(298, bytes(128), 0, -1, -1, 0)",
    "bpf": "call(321, 0, bytes(128), 128)",
    "userfaultfd": "call(323, 0)",
    "keyctl": "call(250, 0, -3)",
    "add_key": "call(248, b'user', b'x', b'y', 1, -3)",
    "setns": "call(308, 0, 0)",
    "unshare": "call(272, 0x10000000)",
    "mount": "call(165, b'none', b'/worker', b'tmpfs', 0, 0)",
    "open_tree": "call(428, -100, b'.', 1)",
    "fsopen": "call(430, b'tmpfs', 0)",
    "pivot_root": "call(155, b'.', b'.')",
    "chroot": "call(161, b'.')",
    "personality": "call(135, 0x0040000)",
    "seccomp": "call(317, 1, 0, 0)",
    "a filter by prctl": "call(157, 22, 2, 0)",
    "strict mode by prctl": "call(157, 22, 1, 0)",
    "dumpable": "call(157, 4, 1)",
    "outliving the service": "call(157, 1, 0)",
    "new privileges": "call(157, 38, 0, 0, 0, 0)",
    "who may trace": "call(157, 0x59616d61, -1)",
    "keeping capabilities": "call(157, 8, 1)",
    "timer slack": "call(157, 29, 1)",
    "ambient capabilities": "call(157, 47, 2, 0, 0, 0)",
    "syscall dispatch": "call(157, 59, 1, 0, 0, 0)",
    "a subreaper": "call(157, 36, 1)",
    "core scheduling": "call(157, 62, 1, 0, 0, 0)",
    "setuid": "call(105, 0)",
    "setresuid": "call(117, 0, 0, 0)",
    "setgroups": "call(116, 0, 0)",
    "capset": "call(126, bytes(8), bytes(24))",
    "setsid": "os.setsid()",
    "setpgid": "os.setpgid(0, 0)",
    "a name for the machine": "socket.sethostname('x')",
    "the clock": "call(227, 0, bytes(16))",
    "a timer": "call(222, 0, 0, ctypes.create_string_buffer(8))",
    "niceness": "os.nice(1)",
    "cores": "os.sched_setaffinity(0, [0])",
    "real time": "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
    "I/O priority": "call(251, 1, 0, 0)",
    "shared memory of System V": "call(29, 0, 4096, 0o1600)",
    "semaphores of System V": "call(64, 0, 1, 0o1600)",
    "messages of System V": "call(68, 0, 0o1600)",
    "messages of POSIX": "call(240, b'x', 0o102, 0o600, 0)",
    "sealed memory": "call(447, 0)",
    "the kernel's log": "call(103, 3, ctypes.create_string_buffer(100), 100)",
    "swap": "call(167, b'modules/main.py', 0)",
    "accounting": "call(163, 0)",
    "ports": "call(172, 3)",
    "a local descriptor table": "call(154, 1, bytes(16), 16)",
    "landlock": "call(444, bytes(8), 8, 0)",
    "more memory": "resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))",
    "more descriptors": "resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 19, 1 << 19))",
    "files": "resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))",
    "core dumps": "resource.setrlimit(resource.RLIMIT_CORE, (1, 1))",
    "an x32 call": "call(0x40000000 + 39)",
    "typing into the terminal": "fcntl.ioctl(0, 0x5412, b'x')",
}  # fmt: skip


@pytest.mark.parametrize("way", KERNEL)
async def test_kernel(puppet: Puppet, way: str) -> None:
    """What would loosen the sandbox, or reach more of the kernel, fails; the limits stay."""
    assert await puppet.run(KERNEL[way]) in ("EPERM", "ENOSYS", "EACCES", "ValueError")


async def test_the_end_of_the_process_is_its_own(puppet: Puppet) -> None:
    """A Worker that signals its own process ends that one; the next request has a new one."""
    neighbour = await puppet.run("return os.getpid()", name="a neighbour")
    for number in ("SIGKILL", "SIGSEGV", "SIGTERM"):
        first = await puppet.run("return os.getpid()")
        with pytest.raises(SluiceError) as raised:
            await puppet.run(f"os.kill(os.getpid(), signal.{number}); time.sleep(30)")
        assert raised.value.reason is Reason.ISOLATE_DIED
        assert await puppet.run("return os.getpid()") != first
    assert await puppet.run("return os.getpid()", name="a neighbour") == neighbour
