# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Compression tools, by Ganeti's contract: no argument compresses, ``-d`` decompresses, ``-h`` answers."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import threading
import typing as t

from .errors import EndpointError

SEARCH_PATH = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
"""Where Ganeti's node daemon looks for tools on Debian (/etc/init.d/ganeti)."""

NONE = "none"

# What Ganeti itself runs for the tools that it knows (impexpd's command builder).
_KNOWN: t.Mapping[str, t.Tuple[t.List[str], t.List[str]]] = {
    "gzip": (["gzip", "-1", "-c"], ["gzip", "-d", "-c"]),
    "gzip-fast": (["gzip", "-1", "-c"], ["gzip", "-d", "-c"]),
    "gzip-slow": (["gzip", "-c"], ["gzip", "-d", "-c"]),
    "lzop": (["lzop", "-c"], ["lzop", "-d", "-c"]),
}
_NAME = re.compile(r"[_a-zA-Z0-9][-_a-zA-Z0-9]*\Z")
_PIPE_BYTES = 1024 * 1024
_CHUNK = 256 * 1024


def valid_name(name: str) -> bool:
    """Whether *name* may name a compression tool: ``^[-_a-zA-Z0-9]+$``, no dash in front."""
    return _NAME.match(name) is not None


def is_known(name: str) -> bool:
    """Whether Ganeti has a command of its own for the tool *name*."""
    return name in _KNOWN


def command(name: str, decompress: bool) -> t.List[str]:
    """The arguments that run tool *name*, its program as an absolute path."""
    if not valid_name(name):
        raise EndpointError(f"{name!r} is not a name for a compression tool.")
    argv = _KNOWN.get(name, ([name], [name, "-d"]))[1 if decompress else 0]
    program = shutil.which(argv[0], path=SEARCH_PATH)
    if program is None:
        raise EndpointError(f"The compression tool {name} is not on this node: install {argv[0]} into {SEARCH_PATH}.")
    return [program] + argv[1:]


def answers(name: str, seconds: float = 5.0) -> bool:
    """Whether tool *name* is present: its ``-h`` ends with success within *seconds*."""
    try:
        program = command(name, decompress=False)[0]
    except EndpointError:
        return False
    try:
        # There is no AnsibleModule on a node whose run_command could be used.
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            [program, "-h"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=seconds, check=False
        )
    except (subprocess.TimeoutExpired, OSError):
        return False
    return done.returncode == 0


class Tool:
    """A running tool: bytes written to ``stdin`` come out of ``stdout`` changed."""

    def __init__(self, name: str, decompress: bool) -> None:
        self._name = name
        self._stderr = os.memfd_create("stderr")
        self._process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            command(name, decompress),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            bufsize=0,
            env={"PATH": SEARCH_PATH, "LC_ALL": "C"},
        )
        self._input = t.cast(t.IO[bytes], self._process.stdin)
        self._output = t.cast(t.IO[bytes], self._process.stdout)
        self.stdin, self.stdout = self._input.fileno(), self._output.fileno()
        for descriptor in (self.stdin, self.stdout):
            _widen(descriptor)

    def close_stdin(self) -> None:
        """Tell the tool that its input ends here."""
        self._input.close()

    def close_stdout(self) -> None:
        """Take no more output, which ends the tool."""
        self._output.close()

    def finish(self) -> None:
        """Wait for the tool; raise EndpointError unless it ended with success."""
        status = self._process.wait()
        tail = os.pread(self._stderr, 400, max(0, os.fstat(self._stderr).st_size - 400))
        os.close(self._stderr)
        if status:
            said = tail.decode("ascii", "replace").strip() or "it said nothing"
            raise EndpointError(f"The compression tool {self._name} failed with status {status}: {said}")


class Pump(threading.Thread):
    """Copies bytes from *read* to *write* beside the main thread, counting them.

    *read* returns nothing at the end of its stream. *end* is called last, with
    whether all went well; it must unblock the tool, or else the main thread
    would wait for it forever.
    """

    def __init__(self, read: t.Callable[[int], bytes], write: t.Callable[[bytes], object], end: t.Callable[[bool], object]) -> None:
        super().__init__(daemon=True)
        self._read, self._write, self._end = read, write, end
        self.error: t.Optional[BaseException] = None
        self.count = 0

    def run(self) -> None:
        try:
            self._copy()
            self._end(True)
        except BaseException as error:  # handed to the thread that asks for the result
            self.error = error
            self._end(False)

    def result(self) -> None:
        """Wait for the end; raise what stopped the pump early."""
        self.join()
        if self.error is not None:
            raise self.error

    def _copy(self) -> None:
        while True:
            data = self._read(_CHUNK)
            if not data:
                return
            self._write(data)
            self.count += len(data)


def write_all(descriptor: int, data: t.Union[bytes, memoryview]) -> None:
    """Write all of *data* to a blocking descriptor."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view):]


def _widen(descriptor: int) -> None:
    # Fewer switches between the processes. The kernel may refuse, which costs speed only.
    try:
        fcntl.fcntl(descriptor, getattr(fcntl, "F_SETPIPE_SZ", 1031), _PIPE_BYTES)
    except OSError:
        return
