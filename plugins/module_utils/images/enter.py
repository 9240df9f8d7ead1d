# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The program that makes a room with nothing but some files in it, and becomes ``bwrap`` there. Standard library alone.

``bwrap`` takes what it shows by name, and a name may lead elsewhere by then. So each file is opened here by its name, compared with the one that
was checked, and put under a name of our own into a file system in memory, which is seen from nowhere else: the names that ``bwrap`` gets are those.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
import typing as t

ROOM = "/tmp"  # a directory that is everywhere; what is there is hidden for this process alone
_NEWNS, _REC_PRIVATE, _NOSUID_NODEV, _BIND = 0x20000, 0x44000, 6, 0x1000


def main() -> t.NoReturn:
    """Do as the request at its standard input says, which no other program sees, and which may be longer than an argument."""
    request = json.load(sys.stdin)
    try:
        os.dup2(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), 0)
        opened = [_open(**each) for each in request["files"]]
        _call("mount", b"none", ROOM.encode(), b"tmpfs", _NOSUID_NODEV, b"size=1m,mode=700")
        for index, descriptor in enumerate(opened):
            target = f"{ROOM}/{index}"
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            _call("mount", f"/proc/self/fd/{descriptor}".encode(), target.encode(), None, _BIND, None)
        os.chdir("/")
        for name, value in request["limits"].items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
        os.execve(request["argv"][0], request["argv"], {"LC_ALL": "C"})
    except OSError as error:
        sys.stderr.write(f"unconfined: {error}\n")
        os._exit(125)


def _open(path: str, device: int, inode: int) -> int:
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    found = os.fstat(descriptor)
    if (found.st_dev, found.st_ino) != (device, inode):
        raise OSError(f"{path} was replaced after it was checked")
    return descriptor


def _call(name: str, *arguments: t.Any) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    converted = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in arguments]
    if getattr(libc, name)(*converted):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def private() -> None:
    """Leave the mounts that others see."""
    _call("unshare", _NEWNS)
    _call("mount", b"none", b"/", None, _REC_PRIVATE, None)


if __name__ == "__main__":
    try:
        private()
    except OSError as error:
        sys.stderr.write(f"unconfined: {error}\n")
        os._exit(125)
    main()
