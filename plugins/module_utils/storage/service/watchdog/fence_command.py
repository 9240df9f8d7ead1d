# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The user's command that proves the master off: what is asked of the file, and how it is run.

It gets the master's name as its one argument, no shell, an empty standard input and a plain environment. It has to end with 0 where the master is off, and
stays so, and with anything else where that is not known. It runs as root, so nobody but root may be able to change it, or what leads to it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import stat
import subprocess
import threading
import typing as t

_NODE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?\Z")
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_WORDS = 200
"""Characters of what it says that are passed on."""
_BYTES = 1 << 14
"""How much of the end of what it says is kept."""
_GONE = 2.0
"""Seconds that are waited for the end of one that was killed, and for the end of what one that failed has said."""


def problem(path: str, owner: int = 0) -> t.Optional[str]:
    """Why it cannot be used, in words; None where it can. All that leads to it has to belong to *owner*."""
    if not os.path.isabs(path):
        return f"fence_command {path} is no absolute path: name it from the root on"
    real = os.path.realpath(path)
    try:
        state = os.stat(real)
        if not stat.S_ISREG(state.st_mode) or not state.st_mode & stat.S_IXUSR:
            return f"fence_command {path} is no file that can be run: make it executable"
        for part in _parts(real):
            state = os.stat(part)
            if state.st_uid not in (0, owner) or state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return f"fence_command {path} can be changed by others than root, as {part} is theirs or they may write there: give it to root alone"
    except OSError as error:
        return f"fence_command {path} cannot be used ({error.strerror}): put it there on every node"
    return None


def _parts(path: str) -> t.Iterator[str]:
    """The path and all that leads to it."""
    while True:
        yield path
        if path == "/":
            return
        path = os.path.dirname(path)


def prove(path: str, master: str, seconds: float, owner: int = 0) -> t.Optional[str]:
    """Have the command prove the master off; None where it has, else why that is not known, in words."""
    if not _NODE.match(master):
        return f"{master!r} is no name of a node"
    wrong = problem(path, owner)
    if wrong:
        return wrong
    try:
        return _run([os.path.realpath(path), master], seconds)
    except OSError as error:
        return f"fence_command {path} cannot be run: {error.strerror}"


def _run(argv: t.Sequence[str], seconds: float) -> t.Optional[str]:
    """Only the command itself is waited for: what it has begun may keep its output open, and one that hangs in the kernel cannot even be killed."""
    process = subprocess.Popen(  # pylint: disable=ansible-bad-function,consider-using-with  # no module object in here; with it, all would be waited for
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/", env=_ENVIRONMENT, start_new_session=True
    )
    output = _Output(t.cast("t.IO[bytes]", process.stdout))
    output.start()
    try:
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GONE)
        return f"fence_command did not end within {seconds:g} s"
    if status == 0:
        return None
    output.join(_GONE)
    lines = output.end.decode("utf-8", "replace").strip().splitlines()
    last = "".join(letter for letter in lines[-1] if letter.isprintable())[:_WORDS] if lines else "it said nothing"
    if status < 0:
        return f"fence_command was ended by signal {-status}: {last}"
    return f"fence_command ended with {status}: {last}"


class _Output(threading.Thread):
    """Reads what a command says, so that it is not held up, and keeps the end of it alone."""

    def __init__(self, stream: t.IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self.end = b""

    def run(self) -> None:
        """Until nobody has it open any more."""
        with self._stream:
            for some in iter(lambda: os.read(self._stream.fileno(), _BYTES), b""):
                self.end = (self.end + some)[-_BYTES:]
