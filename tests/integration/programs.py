# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs that tests run beside themselves: commands, and Ansible without the seconds that its start takes of a processor.

A server (multiprocessing's) imports Ansible once and forks a process for each call. What runs in that is Ansible's own `main`, or a module's.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import typing as t
from multiprocessing.connection import Connection
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([f"{__package__}.warm", __name__])

Result = t.Dict[str, t.Any]


class Program(t.Protocol):
    """A process in a session of its own, and what it writes."""

    pid: int
    stdout: t.TextIO

    def poll(self) -> t.Optional[int]:
        """How it ended, or None while it runs."""

    def wait(self, timeout: t.Optional[float] = None) -> t.Optional[int]:
        """Wait until it has ended; how it did."""


class Forked:
    """A function in a process forked from the server; standard output and error are one stream."""

    def __init__(self, target: t.Callable[..., None], *arguments: t.Any) -> None:
        reader, writer = CONTEXT.Pipe(duplex=False)
        self._process = CONTEXT.Process(target=_begin, args=(writer, target, arguments))
        self._process.start()
        writer.close()
        self.pid = t.cast(int, self._process.pid)
        self.stdout = os.fdopen(os.dup(reader.fileno()), encoding="utf-8", errors="replace")
        reader.close()

    def poll(self) -> t.Optional[int]:
        """How it ended, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: t.Optional[float] = None) -> t.Optional[int]:
        """Wait until it has ended; how it did."""
        self._process.join(timeout)
        return self._process.exitcode


def command(*argv: str) -> Program:
    """A command, as a user types it."""
    done = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True
    )
    return t.cast(Program, done)


def ansible(*argv: str) -> Program:
    """The command `ansible` with these arguments, its start already paid."""
    return Forked(_ansible, list(argv))


def playbook(*argv: str) -> Program:
    """The command `ansible-playbook` with these arguments, likewise."""
    return Forked(_playbook, list(argv))


def module(name: str, arguments: t.Mapping[str, t.Any]) -> Program:
    """A module of the collection with the arguments that Ansible would give it, on the controller, without Ansible."""
    return Forked(_module, name, dict(arguments))


def _begin(writer: Connection, target: t.Callable[..., None], arguments: t.Sequence[t.Any]) -> None:
    os.setsid()
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    for descriptor in (1, 2):
        os.dup2(writer.fileno(), descriptor)
    writer.close()
    target(*arguments)


def _ansible(argv: t.List[str]) -> None:
    importlib.import_module("ansible.cli.adhoc").main(["ansible", *argv])


def _playbook(argv: t.List[str]) -> None:
    importlib.import_module("ansible.cli.playbook").main(["ansible-playbook", *argv])


def _module(name: str, arguments: Result) -> None:
    collections = os.environ["ANSIBLE_COLLECTIONS_PATH"]
    if collections not in sys.path:
        sys.path.insert(0, collections)
    testing = importlib.import_module("ansible.module_utils.testing")
    with testing.patch_module_args(arguments):
        importlib.import_module(f"ansible_collections.ganeti.cluster.plugins.modules.{name}").main()


def result_of(program: Program, limit: float) -> Result:
    """A module's result; the whole of what was shown is in "shown"."""
    text = output_of(program, limit)
    print(text)  # pytest shows it where the test fails, and cuts off what an assertion says
    answer = [line for line in text.splitlines() if line.startswith("{")]
    assert answer, f"the module ended with {program.poll()} and no result: {text}"
    return {"changed": False, "failed": False, **json.loads(answer[-1]), "shown": text}


def output_of(program: Program, limit: float) -> str:
    """All that a program writes until it ends; one that takes more than *limit* seconds is killed, and the test fails."""
    late: t.List[bool] = []
    timer = threading.Timer(limit, lambda: (late.append(True), kill(program)))
    timer.start()
    try:
        text = program.stdout.read()
        program.wait()
    finally:
        timer.cancel()
    assert not late, f"it did not end within {limit:.0f} s: {text}"
    return text


def kill(program: Program) -> None:
    """End it as a power failure would: the process and all that descend from it, whatever sessions they are in."""
    for pid in family(program.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    program.wait()


def family(first: int) -> t.List[int]:
    """A process and all of its descendants."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(entry.parent.name)] = int(fields[1])
    members = [first]
    for member in members:
        members += [pid for pid, parent in parents.items() if parent == member]
    return members
