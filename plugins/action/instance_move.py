# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shows how far a move is while the module of the same name runs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
import threading
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.ganeti.cluster.plugins.module_utils.move.progress import line

display = Display()

_LONGEST = 65536


class ActionModule(ActionBase):
    """Runs the module with a socket to tell its progress to."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[t.Dict[str, t.Any]] = None) -> t.Dict[str, t.Any]:
        """Run the module on the controller; return its result."""
        result: t.Dict[str, t.Any] = super().run(tmp, task_vars)
        if self._connection.transport != "local":
            result.update(failed=True, msg="instance_move runs on the controller: add delegate_to: localhost to the task.")
            return result
        directory = tempfile.mkdtemp(prefix="ganeti-move-")
        try:
            with _Listener(os.path.join(directory, "progress"), str(self._task.args.get("name"))) as listener:
                arguments = {**self._task.args, "progress_socket": listener.path}
                result.update(self._execute_module(module_name="ganeti.cluster.instance_move", module_args=arguments, task_vars=task_vars))
        finally:
            shutil.rmtree(directory)
        (result.get("invocation") or {}).get("module_args", {}).pop("progress_socket", None)
        return result


class _Listener:
    """A socket in a directory of our own, and a thread that shows what comes in."""

    def __init__(self, path: str, name: str) -> None:
        self.path = path
        self._name = name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> _Listener:
        self._socket.bind(self.path)
        self._socket.listen(1)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread if nobody connected
        self._thread.join(2.0)
        self._socket.close()

    def _show(self) -> None:
        try:
            connection, _peer = self._socket.accept()
        except OSError:  # the module ended before it connected
            return
        with connection, connection.makefile("r", encoding="ascii") as stream:
            for text in iter(lambda: stream.readline(_LONGEST), ""):
                shown = line(self._name, json.loads(text))
                if shown is not None:
                    display.display(shown)
