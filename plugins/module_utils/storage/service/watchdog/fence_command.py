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
import typing as t

_NODE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?\Z")
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_WORDS = 200
"""Characters of what it says that are passed on."""


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
    with subprocess.Popen(  # pylint: disable=ansible-bad-function  # there is no module object in here
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/", env=_ENVIRONMENT, start_new_session=True
    ) as process:
        try:
            said, _nothing = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            return f"fence_command did not end within {seconds:g} s"
    if process.returncode == 0:
        return None
    lines = said.decode("utf-8", "replace").strip().splitlines()
    last = "".join(letter for letter in lines[-1] if letter.isprintable())[:_WORDS] if lines else "it said nothing"
    if process.returncode < 0:
        return f"fence_command was ended by signal {-process.returncode}: {last}"
    return f"fence_command ended with {process.returncode}: {last}"
