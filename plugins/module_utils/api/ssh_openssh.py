# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""OpenSSH as the carrier: one ``ssh`` holds the connection, and each command is a session in it.

The one that holds the connection has a guard, a shell that waits until the controller closes a pipe or is gone, however it went, and then ends
the whole of its process group: no ``ssh``, no jump and no ProxyCommand outlives the controller. Guard and sessions are in sessions of their own
(setsid), so that Ctrl-C reaches the controller only, which may need its connections to undo what it did.

A session cannot become a connection of its own: where the connection is gone or the host refuses one more session, OpenSSH would connect anew,
and gets a ProxyCommand that leads nowhere.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
import typing as t

from .._errors import ConnectionFailed
from .ssh_failure import NameUnresolved, explain, last_words
from .ssh_settings import HostSettings, SshOptions, Workspace, ask, own_options

_GUARD = """\
directory=$1; shift
exec 3<&0 </dev/null >/dev/null
"$@" 3<&- &
ssh=$!
(read -r end <&3; kill "$ssh"; sleep 3; kill -KILL 0) 2>/dev/null &
wait "$ssh"
rm -rf -- "$directory"
kill -KILL 0
"""
"""Runs a command until it ends or the guard's standard input does; leaves nothing of its process group and removes the directory."""

_REFUSED = b"mux_client_request_session: "
"""How ssh starts to say that the host did not take one more session."""
_SESSION = ("-F", "/dev/null", "-o", "ControlMaster=no", "-o", "BatchMode=yes", "-o", "ProxyCommand=false", "-o", "LogLevel=ERROR", "-T")
_STATUS_OF_SSH = 255
"""The exit status of ssh where it is not the command's (it is the command's too, where a signal ended that)."""

_TAIL = 64 * 1024
_CLOSING = 5.0
_SLICE = 0.05


class Tail:
    """The end of what is to be read, by a thread of its own, which runs ``then`` when there is no more."""

    def __init__(self, read: t.Callable[[int], bytes], then: t.Callable[[], None]) -> None:
        self._take = read
        self._text = bytearray()
        self._then = then
        self._news = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def text(self) -> bytes:
        """What came in so far, the last 64 KiB of it."""
        return bytes(self._text)

    def wait_for_news(self, seconds: float) -> None:
        """Return when something came in, or at the latest after so many seconds."""
        self._news.wait(seconds)
        self._news.clear()

    def join(self, seconds: float) -> None:
        """Wait until all was read."""
        self._thread.join(seconds)

    def _read(self) -> None:
        for data in iter(lambda: self._take(32768), b""):
            self._text += data
            del self._text[:-_TAIL]
            self._news.set()
        self._then()
        self._news.set()


class CommandChannel:
    """A command in a connection, with two sockets for its input and output. For one reader and one writer at once."""

    def __init__(self, connection: Connection, argv: t.Sequence[str]) -> None:
        self._connection = connection
        self._ended = threading.Event()
        self._killed = False
        self._input, theirs_in = socket.socketpair()
        self._output, theirs_out = socket.socketpair()
        try:
            with theirs_in, theirs_out:
                self._process = subprocess.Popen(  # pylint: disable=ansible-bad-function  # there is no module object in here
                    argv, stdin=theirs_in.fileno(), stdout=theirs_out.fileno(), stderr=subprocess.PIPE, bufsize=0, start_new_session=True
                )
        except OSError:
            self._input.close()
            self._output.close()
            raise
        self._said = t.cast(t.IO[bytes], self._process.stderr)
        self._tail = Tail(self._said.read, self._reap)

    @property
    def stderr(self) -> bytes:
        """The end of standard error, as far as it came in."""
        return self._tail.text

    def settimeout(self, seconds: t.Optional[float]) -> None:
        """How long sending and receiving may take, in seconds, before they raise socket.timeout."""
        self._input.settimeout(seconds)
        self._output.settimeout(seconds)

    def sendall(self, data: bytes) -> None:
        """Give it input. Raises OSError where nobody reads it any more."""
        self._input.sendall(data)

    def shutdown_write(self) -> None:
        """The end of its input."""
        self._input.shutdown(socket.SHUT_WR)

    def recv(self, size: int) -> bytes:
        """Some of its output; nothing at the end."""
        return self._output.recv(size)

    def makefile(self) -> t.BinaryIO:
        """Its output as a file."""
        return self._output.makefile("rb")

    def wait(self, seconds: t.Optional[float]) -> t.Optional[int]:
        """The exit status, or None where it goes on. 255 also where a signal ended it, -1 where `close` did."""
        if not self._ended.wait(seconds):
            return None
        return -1 if self._killed or self._process.returncode < 0 else self._process.returncode

    def lost(self) -> t.Optional[str]:
        """Why this ended though the command did not, or None where it did."""
        if self._killed or self._process.returncode != _STATUS_OF_SSH:
            return None
        if _REFUSED in self.stderr and self._connection.alive():
            return "the host allows no more sessions in one connection (sshd: MaxSessions)"
        return None if self._connection.alive() else self._connection.last_words() or "the connection was closed"

    def close(self) -> None:
        """End it: its input ends, and its output has no reader any more."""
        self._killed = self._killed or not self._ended.is_set()
        for one in (self._input, self._output):
            try:
                one.shutdown(socket.SHUT_RDWR)  # wakes who waits in it
            except OSError:
                # The other end is gone already.
                continue
        self._input.close()
        self._output.close()
        self._process.terminate()

    def _reap(self) -> None:
        self._said.close()
        self._process.wait()
        self._ended.set()


class Connection:
    """One connection to a host, made at once; sessions in it until it is lost or closed."""

    def __init__(self, program: str, name: str, options: SshOptions, fallback: t.Optional[str]) -> None:
        self._program = program
        self._name = name
        self._options = options
        self._workspace = Workspace(name, options)
        try:
            settings = ask(program, name, options, self._workspace)
            try:
                self._start(settings, ())
            except NameUnresolved:
                if not fallback:
                    raise
                self._workspace = Workspace(name, options)
                self._start(settings, _by_address(settings, fallback))
        except BaseException:
            self._workspace.remove()
            raise

    def alive(self) -> bool:
        """Whether the connection takes sessions: one that was lost does not, from when that is known."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(self._workspace.socket)
            except OSError:
                return False
        return True

    def last_words(self) -> str:
        """What OpenSSH said last that was no debugging."""
        self._tail.join(1.0)
        return last_words(self._said())

    def execute(self, command: str) -> CommandChannel:
        """Start a command. Raises OSError where there is no ssh any more."""
        return CommandChannel(self, [self._program, *_SESSION, "-S", self._workspace.socket, "--", self._name, command])

    def close(self) -> None:
        """End the connection and whatever was started for it."""
        t.cast(t.IO[bytes], self._guard.stdin).close()
        try:
            self._guard.wait(_CLOSING)
        except subprocess.TimeoutExpired:
            os.killpg(self._guard.pid, 9)
            self._guard.wait()
        self._workspace.remove()

    def _start(self, settings: HostSettings, more: t.Sequence[str]) -> None:
        master = ["-F", self._workspace.config, "-M", "-N", "-S", self._workspace.socket]
        ssh = [self._program, *master, *own_options(self._options, self._workspace), *more, "--", self._name]
        guarded = ["/bin/sh", "-c", _GUARD, "ganeti-ssh", self._workspace.directory, *ssh]
        self._guard = subprocess.Popen(  # pylint: disable=ansible-bad-function  # there is no module object in here
            guarded, stdin=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, start_new_session=True
        )
        said = t.cast(t.IO[bytes], self._guard.stderr)
        self._tail = Tail(said.read, said.close)
        try:
            self._await(settings, time.monotonic() + self._options.connect_timeout + max(self._options.connect_timeout, 15.0))
        except BaseException:
            self.close()
            raise

    def _await(self, settings: HostSettings, deadline: float) -> None:
        """Wait until the socket for sessions is there: it comes up when the host is known and let us in."""
        while not os.path.exists(self._workspace.socket):
            if self._guard.poll() is not None:
                self._tail.join(1.0)
                raise explain(settings, self._said())
            if time.monotonic() > deadline:
                said = last_words(self._said())
                raise ConnectionFailed(
                    f"{settings.name} did not let {settings.user} in by SSH within {self._options.connect_timeout:.0f} s and as much again"
                    f"{': ' + said if said else ''}. A key that wants to be touched, or a ProxyCommand that does not answer, may be why."
                )
            self._tail.wait_for_news(_SLICE)

    def _said(self) -> str:
        return self._workspace.shown(self._tail.text.decode("utf-8", "replace"))


def _by_address(settings: HostSettings, address: str) -> t.List[str]:
    """Arguments that connect to an address and check the host key under the name all the same."""
    return ["-o", f"HostName={address}"] + ([] if settings.key_alias else ["-o", f"HostKeyAlias={settings.key_name}"])
