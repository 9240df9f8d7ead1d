# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Running a program that was not made for hostile input: with nothing but some files, and no way out.

``bwrap`` gives it a file system that has its libraries and these files, no network, no other processes, no capability and no way to get one, and the
kernel ends it with this process. Its user is nobody in there; outside it is a root who may do nothing, as only he may open the files.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
import typing as t

from .._errors import ImageFailed, ImageRefused
from ..stream.bundle import text_of
from . import enter

MEMORY = 2 * 1024 * 1024 * 1024
"""Bytes of address space, of which the stacks of its threads are most."""
_OUTPUT = 1024 * 1024 * 1024
_ERRORS = 64 * 1024
_LINE = 64 * 1024
_PATH = "/usr/bin:/bin:/usr/local/bin:/usr/sbin"
_MISSING = {"bwrap": "bubblewrap", "qemu-img": "qemu-utils"}


class Shared(t.NamedTuple):
    """A file that the program is to see."""

    path: str
    stat: os.stat_result
    """What it has to be."""
    inside: str
    """Its path in there."""
    writable: bool = False


class Ended(t.NamedTuple):
    """How a program ended."""

    status: int
    said: str
    """What it wrote to its standard error, shortened."""


def missing(*programs: str) -> t.Optional[str]:
    """The clause that says which programs this node lacks, and which packages have them; None where all are there."""
    lacks = [name for name in ("bwrap", *programs) if find(name) is None]
    if lacks:
        return f"{' and '.join(lacks)} {'is' if len(lacks) == 1 else 'are'} not on this node: install {' and '.join(_MISSING[name] for name in lacks)}"
    return None if os.geteuid() == 0 else "it takes root to confine the program that reads images: run the task with become"


def find(program: str) -> t.Optional[str]:
    """The path of a program, looked for where the system has its own."""
    return shutil.which(program, path=_PATH)


class Limits(t.NamedTuple):
    """How far a program may go."""

    silent: float
    """Seconds without anything new from it, after which it is ended."""
    processor: t.Optional[int] = None
    """Seconds of a processor; no end to it if None."""
    largest: int = 0
    """Bytes of the longest file that it may make."""


def run(program: str, arguments: t.Sequence[str], files: t.Sequence[Shared], take: t.Callable[[str], object], limits: Limits) -> Ended:
    """Run a program, its lines given to *take* as they come. Raise ImageRefused where it cannot be confined, ImageFailed where it does not go on."""
    processor = {} if limits.processor is None else {"CPU": limits.processor}
    request = {
        "files": [{"path": each.path, "device": each.stat.st_dev, "inode": each.stat.st_ino} for each in files],
        "limits": {"AS": MEMORY, "CORE": 0, "FSIZE": limits.largest, **processor},
        "argv": _bwrap(program, files) + list(arguments),
    }
    with tempfile.TemporaryFile() as asked:
        asked.write(json.dumps(request).encode())
        asked.seek(0)
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            [sys.executable, "-I", "-c", text_of(enter)], stdin=asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", env={}
        )
    try:
        said = _follow(process, take, limits.silent)
        status = process.wait()
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            t.cast(t.IO[bytes], stream).close()
    if said.startswith(("unconfined: ", "bwrap: ")):
        raise ImageRefused(f"{os.path.basename(program)} was not run, as this node cannot confine it ({said}).")
    return Ended(status, said)


def _bwrap(program: str, files: t.Sequence[Shared]) -> t.List[str]:
    argv = [str(find("bwrap")), "--unshare-all", "--unshare-user", "--disable-userns", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL", "--new-session"]
    argv += ["--die-with-parent", "--hostname", "images", "--ro-bind", "/usr/lib", "/usr/lib", "--ro-bind-try", "/usr/lib64", "/usr/lib64"]
    for name in ("/lib", "/lib64"):
        argv += ["--symlink", f"usr{name}", name] if os.path.islink(name) else ["--ro-bind-try", name, name]
    argv += ["--ro-bind", program, "/program", "--dev-bind", "/dev/null", "/dev/null"]  # with which qemu-img tries whether it can lock files
    for index, each in enumerate(files):
        argv += ["--bind" if each.writable else "--ro-bind", f"{enter.ROOM}/{index}", each.inside]
    return [*argv, "--remount-ro", "/", "--chdir", "/", "--", "/program"]


def _follow(process: subprocess.Popen[bytes], take: t.Callable[[str], object], silent: float) -> str:
    """Hand on its lines until it ends; what it wrote to its standard error."""
    out, err = t.cast(t.IO[bytes], process.stdout).fileno(), t.cast(t.IO[bytes], process.stderr).fileno()
    pending, errors, total = b"", b"", 0
    heard, waiting, last = time.monotonic(), {out, err}, b""
    while waiting:
        if time.monotonic() - heard > silent:
            raise ImageFailed(f"qemu-img made no progress for {silent:.0f} seconds and was ended.")
        for descriptor in select.select(list(waiting), [], [], 1.0)[0]:
            data = os.read(descriptor, 65536)
            if not data:
                waiting.remove(descriptor)
            elif descriptor == err:
                errors = (errors + data)[:_ERRORS]
            else:
                total += len(data)
                *lines, pending = (pending + data).replace(b"\r", b"\n").split(b"\n")
                if total > _OUTPUT or len(pending) > _LINE:
                    raise ImageRefused("qemu-img says more about the image than it could of a sensible one.")
                if lines and lines[-1] != last:
                    heard, last = time.monotonic(), lines[-1]
                for line in lines:
                    take(line.decode("utf-8", "replace"))
    if pending:
        take(pending.decode("utf-8", "replace"))
    text = " ".join(errors.decode("utf-8", "replace").split())
    return "".join(each if each.isprintable() else "?" for each in text[:500])
