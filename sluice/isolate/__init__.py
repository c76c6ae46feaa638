"""Owning Worker processes.

- `runner`      one call, one response: what a service asks for
- `invocation`  one run of a Worker; `cpu` charges it, `capacity` bounds what all may cost
- `pool`        the isolates of a service, by `version`: found, started, evicted, replaced;
                some are on `probation`, and `bystanders` while others are served
- `isolate`     one of them: its process, its sockets, and in `roster` its invocations
- `egress`      what comes out of it: whose it is, and whether it may go on
- `program`     what its process is made of: `workerd` and `cpython` write its files, in `folder`
- `launchers`   what starts it, in `sandbox`; then it is a `process`, and connects by a `broker`
- `console`     what it prints, within a rate; `output` keeps it for those who follow
- `control`     the headers between the host and its guest code, which is in `guest`
- `settings`    all of it from the environment; `runtime` is what every isolate shares
"""
