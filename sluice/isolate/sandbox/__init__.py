"""What confines a Worker's process, beside workerd itself (SECURITY.md, "Postures").

- `posture`     which way, decided by what `machine` found
- `launcher`    starts processes by the `zygote`, which forks and confines each
- `bubblewrap`  a root with next to nothing in it, for what is executed
- `landlock`    files by rules, for what is forked; with `namespaces` where the machine has them
- `seccomp`     the filter of `syscalls`
- `guest`       the Python server that the zygote takes in; `libraries` an executable needs
- `kernel`      what Python has no call for
- `trial`       runs the probe, `escapes`, and judges what it says
"""
