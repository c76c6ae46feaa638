"""System calls that workerd and CPython make, and their numbers.

From strace of both under load, with what libc and V8 may use instead of those. Numbers: the
kernel's `arch/x86/entry/syscalls/syscall_64.tbl`, and `include/uapi/asm-generic/unistd.h` for
aarch64, which lacks some (`-`).
"""

from __future__ import annotations

_TABLE = """
# files
read 0 63
write 1 64
readv 19 65
writev 20 66
pread64 17 67
pwrite64 18 68
preadv 295 69
pwritev 296 70
lseek 8 62
close 3 57
close_range 436 436
open 2 -
openat 257 56
stat 4 -
lstat 6 -
fstat 5 80
newfstatat 262 79
statx 332 291
access 21 -
faccessat 269 48
faccessat2 439 439
readlink 89 -
readlinkat 267 78
getdents64 217 61
getcwd 79 17
chdir 80 49
fchdir 81 50
fcntl 72 25
flock 73 32
dup 32 23
dup2 33 -
dup3 292 24
pipe 22 -
pipe2 293 59
ftruncate 77 46
fadvise64 221 223
statfs 137 43
fstatfs 138 44
umask 95 166
# waiting
eventfd2 290 19
poll 7 -
ppoll 271 73
select 23 -
pselect6 270 72
epoll_create1 291 20
epoll_ctl 233 21
epoll_wait 232 -
epoll_pwait 281 22
epoll_pwait2 441 441
timerfd_create 283 85
timerfd_settime 286 86
timerfd_gettime 287 87
# memory
mmap 9 222
mprotect 10 226
munmap 11 215
mremap 25 216
madvise 28 233
brk 12 214
mincore 27 232
msync 26 227
mlock 149 228
munlock 150 229
membarrier 324 283
pkey_alloc 330 289
pkey_mprotect 329 288
pkey_free 331 290
# threads
futex 202 98
set_robust_list 273 99
get_robust_list 274 100
set_tid_address 218 96
rseq 334 293
sched_yield 24 124
sched_getaffinity 204 123
sched_getparam 143 121
sched_getscheduler 145 120
sched_get_priority_max 146 125
sched_get_priority_min 147 126
getcpu 309 168
exit 60 93
exit_group 231 94
restart_syscall 219 128
arch_prctl 158 -
# the start: bubblewrap and the zygote install the filter, then exec
execve 59 221
# signals to itself, which CPython may send
kill 62 129
tgkill 234 131
rt_sigaction 13 134
rt_sigprocmask 14 135
rt_sigreturn 15 139
rt_sigtimedwait 128 137
rt_sigpending 127 136
rt_sigsuspend 130 133
sigaltstack 131 132
# time
clock_gettime 228 113
clock_getres 229 114
clock_nanosleep 230 115
nanosleep 35 101
gettimeofday 96 169
time 201 -
times 100 153
getrusage 98 165
getitimer 36 102
setitimer 38 103
# what it is
getpid 39 172
gettid 186 178
getppid 110 173
getuid 102 174
geteuid 107 175
getgid 104 176
getegid 108 177
getgroups 115 158
getpgrp 111 -
getresuid 118 148
getresgid 120 150
uname 63 160
sysinfo 99 179
getrlimit 97 163
getrandom 318 278
# sockets, of which it can make unix ones only
connect 42 203
accept 43 202
accept4 288 242
getsockname 51 204
getpeername 52 205
getsockopt 55 209
setsockopt 54 208
listen 50 201
shutdown 48 210
sendto 44 206
recvfrom 45 207
sendmsg 46 211
recvmsg 47 212
# allowed for some arguments only
socket 41 198
socketpair 53 199
clone 56 220
clone3 435 435
ioctl 16 29
prctl 157 167
prlimit64 302 261
"""

_ROWS = [line.split() for line in _TABLE.splitlines() if line and not line.startswith("#")]


def _column(index: int) -> dict[str, int]:
    return {row[0]: int(row[index]) for row in _ROWS if row[index] != "-"}


X86_64 = _column(1)
"""Number of each call."""

AARCH64 = _column(2)
"""Number of each call that this architecture has."""
