# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Taking everything from this process but the descriptors it has and the means to compute.

In order, so that each step still may what it has to: namespaces of its own (no network, no processes of others, no mounts seen outside); a root
directory that is empty and read-only; limits; another user without groups; no capability, and no way to get one. What is left can be read from
descriptors that are open, and written to those that are. Nothing can be opened: neither a file nor a socket.

It is done by root, which may make namespaces without a user namespace, and from Python: it needs no program that a node may lack.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import typing as t

_NEWNS, _NEWCGROUP, _NEWUTS, _NEWIPC, _NEWPID, _NEWNET = 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x20000000, 0x40000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT, _MS_REC, _MS_PRIVATE = 0x1, 0x2, 0x4, 0x8, 0x20, 0x4000, 0x40000
_MNT_DETACH = 2
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 23, 24, 38
_NOBODY = 65534
_MEMORY = 512 * 1024 * 1024
_SECONDS = 600
_MOUNT_POINT, _EMPTY = b"/tmp", "/empty"

_libc = ctypes.CDLL(None, use_errno=True)


class Unconfined(Exception):
    """Why this process could not be confined: a clause."""


def confined(work: t.Callable[[], int], refused: t.Callable[[str], int]) -> int:
    """Do *work* in a confined child; its exit status. Where this node does not let it be, *refused* gets to know why, and *work* is not begun."""
    try:
        if os.geteuid():
            raise Unconfined("it does not run as root")
        die_with_parent()
        _call("unshare", _NEWNS | _NEWCGROUP | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET)
        _empty_root()
        child = os.fork()  # the first process of the new namespace
    except (Unconfined, OSError) as error:
        return refused(str(error))
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        status = _confined(work, refused)
    finally:  # whatever was raised: there is nothing in here to end in order
        os._exit(status)


def _confined(work: t.Callable[[], int], refused: t.Callable[[str], int]) -> int:
    try:
        die_with_parent()
        _limit()
        _drop()
    except (Unconfined, OSError, ValueError) as error:
        return refused(str(error))
    return work()


def die_with_parent() -> None:
    """Have the kernel end this process when the one that started it ends."""
    _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _empty_root() -> None:
    """Make an empty file system that cannot be written the only one there is."""
    _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    kept = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    _call("mount", b"none", _MOUNT_POINT, b"tmpfs", kept, b"size=16k,mode=555")
    os.chdir(_MOUNT_POINT)
    _call("pivot_root", b".", b".")
    _call("umount2", b".", _MNT_DETACH)
    os.mkdir(_EMPTY, 0o555)
    _call("mount", b"none", b"/", None, _MS_REMOUNT | _MS_RDONLY | kept, None)
    # One step further in: the kernel gives nobody a user namespace, and with it capabilities, whose root is not that of his mounts.
    os.chroot(_EMPTY)
    os.chdir("/")


def _limit() -> None:
    for kind, value in (
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, _SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(kind, (value, value))


def _drop() -> None:
    """Become nobody, for good."""
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    capability = 0
    while _libc.prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) >= 0:
        _call("prctl", _PR_CAPBSET_DROP, capability, 0, 0, 0)
        capability += 1
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)  # from root to another user, all capabilities go
    _call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)
    die_with_parent()  # which a change of users takes away
    if os.getresuid() != (_NOBODY,) * 3 or os.getresgid() != (_NOBODY,) * 3 or os.getgroups():
        raise Unconfined("it could not become nobody")


def _call(name: str, *arguments: t.Any) -> None:
    function = getattr(_libc, name, None)
    if function is None:
        raise Unconfined(f"its C library has no {name}")
    converted = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in arguments]
    if function(*converted) != 0:
        raise Unconfined(f"{name}: {os.strerror(ctypes.get_errno())}")
