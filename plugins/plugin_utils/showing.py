# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugins that show how far a module is while it runs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.ganeti.cluster.plugins.module_utils._progress import as_line

display = Display()

_LONGEST = 65536
_LONGEST_PATH = 100
_PREFIX = "ganeti-progress-"
_SOCKET = "progress"
_ECHO = 0.5
"""Seconds in which a signal that was passed on has come back."""


class ShowingAction(ActionBase):
    """Runs the module of the same name with a socket to tell its progress to."""

    TRANSFERS_FILES = False
    MODULE = ""
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[t.Dict[str, t.Any]] = None) -> t.Dict[str, t.Any]:
        """Run the module; return its result."""
        result: t.Dict[str, t.Any] = super().run(tmp, task_vars)
        refusal = self.refusal()
        if refusal:
            result.update(failed=True, msg=refusal)
            return result
        if self._task.async_val or self._connection.transport != "local":
            # Nobody would show its progress: the module outlives this plugin, or runs elsewhere.
            result.update(self._module(self._task.args, task_vars, bool(self._task.async_val)))
            return result
        with directory() as place, Listener(os.path.join(place, _SOCKET), str(self._task.args.get("name"))) as listener:
            result.update(self._module({**self._task.args, "progress_socket": listener.path}, task_vars, False))
        (result.get("invocation") or {}).get("module_args", {}).pop("progress_socket", None)
        return result

    def refusal(self) -> t.Optional[str]:
        """Why the module cannot run where the task does, if so."""
        return None

    def _module(self, arguments: t.Dict[str, t.Any], task_vars: t.Optional[t.Dict[str, t.Any]], detached: bool) -> t.Dict[str, t.Any]:
        name = f"ganeti.cluster.{self.MODULE}"
        return t.cast("t.Dict[str, t.Any]", self._execute_module(module_name=name, module_args=arguments, task_vars=task_vars, wrap_async=detached))


@contextlib.contextmanager
def directory() -> t.Iterator[str]:
    """A directory for this user alone, with a path that leaves room for a socket's name: the kernel takes 107 bytes (104 on macOS) in all."""
    directory = tempfile.mkdtemp(prefix=_PREFIX)
    try:
        if len(os.fsencode(os.path.join(directory, _SOCKET))) <= _LONGEST_PATH:
            yield directory
            return
    finally:
        shutil.rmtree(directory)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir="/tmp") as short:
        yield short


class Listener:
    """A socket in a directory of our own, and a thread that shows what comes in.

    The thread also sees to it that a signal reaches the thread that waits for the module. The kernel may hand one to any thread of a process, and Python runs
    the handler in the main one, which then goes on waiting: of some ten presses of Ctrl-C one was lost.
    """

    def __init__(self, path: str, name: str) -> None:
        self.path = path
        self._name = name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._thread = threading.Thread(target=self._show, daemon=True)
        self._waiting = threading.get_ident()
        self._came, self._signals = socket.socketpair()
        self._signals.setblocking(False)
        self._before = -1
        self._passing = threading.Thread(target=self._pass_on, daemon=True)

    @property
    def thread(self) -> int:
        """The thread that shows, by its number."""
        return self._thread.ident or 0

    def __enter__(self) -> Listener:
        self._socket.bind(self.path)
        self._socket.listen(1)
        self._before = signal.set_wakeup_fd(self._signals.fileno(), warn_on_full_buffer=False)
        self._passing.start()
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        signal.set_wakeup_fd(self._before)
        self._signals.close()
        self._passing.join(2.0)
        self._came.close()
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread if nobody connected
        self._thread.join(2.0)
        self._socket.close()

    def _pass_on(self) -> None:
        """Send each signal that came, to whichever thread, to the one that waits. What is sent so comes here again, and ends here."""
        passed: t.Dict[int, float] = {}
        for number in iter(lambda: self._came.recv(1), b""):
            now = time.monotonic()
            if number[0] in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) and now - passed.get(number[0], -_ECHO) >= _ECHO:
                passed[number[0]] = now
                signal.pthread_kill(self._waiting, number[0])

    def _show(self) -> None:
        try:
            connection, _peer = self._socket.accept()
        except OSError:  # the module ended before it connected
            return
        with connection, connection.makefile("r", encoding="ascii") as stream:
            for text in iter(lambda: stream.readline(_LONGEST), ""):
                shown = as_line(self._name, json.loads(text))
                if shown is not None:
                    display.display(shown)
