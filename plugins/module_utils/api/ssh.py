# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Hosts reached by SSH: one connection a host, commands in it, and LUXI through it.

OpenSSH carries the connection where it is on the controller; paramiko does where it is not, and where a password is to be used.

Why not paramiko with the answers of ``ssh -G``: those answer what to connect to, not how. Certificates of hosts and users, ``@cert-authority``,
``KnownHostsCommand``, hardware keys, GSSAPI and jumps would still have been ours to do, and what decides whether a host is the right one is
nothing to write a second time. OpenSSH does all of it, as the user sees it do on the command line. What is left by hand is the question
(ssh_settings), the processes (ssh_openssh) and the messages (ssh_failure); and a controller that has OpenSSH need not load paramiko.

Why paramiko for passwords: OpenSSH would ask a program of ours for it, and its jump hosts would ask the same program. paramiko hands the
password to the one host whose key was checked, and to nobody else.

Host keys are always checked, before anything else is sent, whatever the user's configuration says. Nothing is added to files of known hosts.
"""

from __future__ import annotations

import shlex
import shutil
import socket
import threading
import time
import typing as t
from types import TracebackType

from .._errors import ConnectionFailed
from .luxi import SOCKET, SSCONF_MASTER, LuxiCluster, not_master
from .ssh_failure import reason
from .ssh_openssh import Connection
from .ssh_settings import SshOptions, ssh_options

RUN_TIMEOUT = 120.0
"""Seconds that a command may take if the caller says nothing else."""
MAX_OUTPUT = 256 * 1024 * 1024
"""Bytes. What `SshHost.run` takes of a command's output: a configuration of ten thousand instances is a fifth of it."""
MAX_LINE = 4 * 1024 * 1024
"""Bytes. What one line of a command's output may have."""


class CommandChannel(t.Protocol):
    """A command in a connection, whoever carries it; see `ssh_openssh.CommandChannel`."""

    @property
    def stderr(self) -> bytes: ...

    def settimeout(self, seconds: t.Optional[float], /) -> None: ...

    def sendall(self, data: bytes, /) -> t.Any: ...

    def shutdown_write(self) -> t.Any: ...

    def recv(self, size: int, /) -> bytes: ...

    def makefile(self) -> t.BinaryIO: ...

    def wait(self, seconds: t.Optional[float], /) -> t.Optional[int]: ...

    def lost(self) -> t.Optional[str]: ...

    def close(self) -> None: ...


class Carrier(t.Protocol):
    """A connection to a host, whoever carries it; see `ssh_openssh.Connection`."""

    def alive(self) -> bool: ...

    def execute(self, command: str, /) -> CommandChannel: ...

    def close(self) -> None: ...


class SshProcess:
    """A command that runs on a host.

    One thread may read (iterate for standard output's lines, or ``stdout.read``) while another writes ``stdin``.
    Standard error is collected meanwhile, its last 64 KiB are in ``stderr``. Read to the end before ``wait``.
    """

    def __init__(self, host: str, command: str, channel: CommandChannel) -> None:
        self.host = host
        self.command = command
        self.channel = channel
        self.stdin = _Stdin(self)
        self.stdout = channel.makefile()

    @property
    def stderr(self) -> bytes:
        """The end of standard error, as far as it came in."""
        return self.channel.stderr

    def __iter__(self) -> t.Iterator[bytes]:
        """Standard output, line by line, without the line ends. Raises ConnectionFailed for a line of more than 4 MiB."""
        try:
            for line in iter(lambda: self.stdout.readline(MAX_LINE + 1), b""):
                if len(line) > MAX_LINE:
                    raise ConnectionFailed(f"{self.command} on {self.host} wrote a line of more than {MAX_LINE} bytes: that is not its answer.")
                yield line.rstrip(b"\r\n")
        except (OSError, EOFError) as error:
            raise self.lost() from error

    def wait(self, timeout: t.Optional[float] = None) -> int:
        """The exit status; -1 where `kill` ended it, and -1 or 255 where a signal did.

        Raises ConnectionFailed where it does not end in so many seconds, or the connection is gone.
        """
        status = self.channel.wait(timeout)
        if status is None:
            raise ConnectionFailed(f"{self.command} on {self.host} did not end within {timeout:.0f} s.")
        if self.channel.lost() is not None:
            raise self.lost()
        return status

    def kill(self) -> None:
        """End the session: the command's standard input ends and its output has no reader any more."""
        self.channel.close()

    def lost(self) -> ConnectionFailed:
        """The error for a connection that went away while this ran."""
        said = " ".join(self.stderr.decode("utf-8", "replace").split())[-500:] if self.channel.wait(0) is None else None
        why = said or self.channel.lost()
        return ConnectionFailed(f"The connection to {self.command} on {self.host} was lost{': ' + why if why else ''}.")


class _Stdin:
    """The writing end of a command's standard input, unbuffered."""

    def __init__(self, process: SshProcess) -> None:
        self._process = process

    def write(self, data: bytes) -> int:
        """Write all of the data; raises ConnectionFailed where nobody reads it any more."""
        try:
            self._process.channel.sendall(data)
        except (OSError, EOFError) as error:
            raise self._process.lost() from error
        return len(data)

    def flush(self) -> None:
        """Nothing to do: nothing is held back."""

    def close(self) -> None:
        """End of input for the command."""
        try:
            self._process.channel.shutdown_write()
        except (OSError, EOFError):
            # It is closed as a whole already.
            return


class SshHost:
    """A host reached by SSH. Connects at the first use, and anew where the connection was lost since the last.

    ``options``: user (else as configured, else root), port, private_key_file, known_hosts_file, config_file (else ~/.ssh/config and
    /etc/ssh/ssh_config), agent (default true), password, connect_timeout (seconds). Where the name does not resolve, ``fallback_address`` is
    connected to; the host key is checked under the name all the same.
    """

    def __init__(self, name: str, options: t.Mapping[str, t.Any], fallback_address: t.Optional[str] = None) -> None:
        self.name = name
        self._options = dict(options)
        self._fallback = fallback_address
        self._lock = threading.Lock()
        self._carrier: t.Optional[Carrier] = None

    def __repr__(self) -> str:
        return f"<SshHost {self.name}>"

    def __enter__(self) -> SshHost:
        return self

    def __exit__(self, kind: t.Optional[t.Type[BaseException]], error: t.Optional[BaseException], trace: t.Optional[TracebackType]) -> None:
        self.close()

    def connect(self) -> None:
        """Connect now. Raises HostKeyUnknown, AuthenticationFailed, ConnectionFailed, or InvalidInput for options or a configuration that make no sense."""
        self._connected()

    def close(self) -> None:
        """Close the connection and whatever was made on the way to the host; a later use connects again."""
        with self._lock:
            self._close()

    def popen(self, argv: t.Sequence[str]) -> SshProcess:
        """Start a command; its arguments reach it as they are, whatever is in them."""
        try:
            channel = self._connected().execute(shlex.join(argv))
        except (OSError, EOFError) as error:
            # Only the command's name: its arguments may be nobody's business.
            raise ConnectionFailed(f"{argv[0]} could not be started on {self.name}: {reason(error)}.") from error
        return SshProcess(self.name, argv[0], channel)

    def run(self, argv: t.Sequence[str], input: t.Optional[bytes] = None, timeout: float = RUN_TIMEOUT) -> t.Tuple[int, bytes, bytes]:
        """Run a command to its end: exit status, standard output, and the end of standard error.

        Raises ConnectionFailed where it does not end in ``timeout`` seconds (it is cut off then), cannot be run, or writes more than 256 MiB.
        """
        deadline = time.monotonic() + timeout
        process = self.popen(argv)
        writer = threading.Thread(target=_feed, args=(process, input or b""), daemon=True)
        writer.start()
        try:
            output = _read_all(process, deadline)
            status = process.wait(max(0.1, deadline - time.monotonic()))
        except socket.timeout as error:
            raise ConnectionFailed(f"{argv[0]} on {self.name} did not end within {timeout:.0f} s.") from error
        finally:
            process.kill()
        return status, output, process.stderr

    def _connected(self) -> Carrier:
        with self._lock:
            if self._carrier is None or not self._carrier.alive():
                self._close()
                self._carrier = _carrier(self.name, ssh_options(self.name, self._options), self._fallback)
            return self._carrier

    def _close(self) -> None:
        carrier, self._carrier = self._carrier, None
        if carrier is not None:
            carrier.close()


def _carrier(name: str, options: SshOptions, fallback: t.Optional[str]) -> Carrier:
    program = shutil.which("ssh")
    if program is not None and options.password is None:
        return Connection(program, name, options, fallback)
    # Imported here, not above: it loads paramiko, which takes longer than to connect.
    from .ssh_paramiko import Connection as Paramiko

    return Paramiko(program, name, options, fallback)


def _feed(process: SshProcess, data: bytes) -> None:
    """Give a command its input. One that ends without reading all of it is judged by its exit status."""
    try:
        process.stdin.write(data)
    except ConnectionFailed:
        return
    process.stdin.close()


def _read_all(process: SshProcess, deadline: float) -> bytes:
    output = bytearray()
    while True:
        process.channel.settimeout(max(0.001, deadline - time.monotonic()))
        data = process.channel.recv(65536)
        if not data:
            return bytes(output)
        output += data
        if len(output) > MAX_OUTPUT:
            raise ConnectionFailed(f"{process.command} on {process.host} wrote more than {MAX_OUTPUT} bytes: that is not its answer.")


def luxi_over_ssh(host: SshHost) -> LuxiCluster:
    """The cluster whose master is this host, by LUXI through SSH; every Ganeti node has socat. Closes the host with it."""
    running: t.List[SshProcess] = []

    def dial() -> CommandChannel:
        running[:] = [host.popen(["socat", "STDIO", f"UNIX-CONNECT:{SOCKET}"])]
        return running[0].channel

    return LuxiCluster("ssh", host.name, dial, lambda: _why_closed(host, running[0]), host.close)


def _why_closed(host: SshHost, process: SshProcess) -> t.Optional[ConnectionFailed]:
    """Why socat ended before luxid said anything; None where the connection itself was lost."""
    try:
        status = process.wait(10)
    except ConnectionFailed:
        return None
    said = process.stderr.decode("utf-8", "replace")
    if status == 127:
        return ConnectionFailed(f"socat is missing on {host.name}, though every Ganeti node should have it: install it.")
    if "Permission denied" in said:
        return ConnectionFailed(f"The SSH user may not open Ganeti's socket {SOCKET} on {host.name}: connect as root.")
    _status, master, _said = host.run(["cat", SSCONF_MASTER])
    _status, names, _said = host.run(["sh", "-c", "hostname; hostname -f"])
    return not_master(host.name, master.decode("utf-8", "replace").strip() or None, names.decode("utf-8", "replace").split())
