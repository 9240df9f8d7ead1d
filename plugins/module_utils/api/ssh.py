# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Hosts reached by SSH: one connection a host, commands in it, and LUXI through it.

paramiko does the protocol. Host keys are always checked, before anything else is sent.
"""

from __future__ import annotations

import logging
import shlex
import socket
import threading
import time
from types import TracebackType
from typing import Any, Iterator, List, Mapping, Optional, Sequence, Tuple, Type

from .._errors import ConnectionFailed
from .luxi import SOCKET, SSCONF_MASTER, LuxiCluster, not_master
from .ssh_login import authenticate, check_host_key, prefer_key_types, words
from .ssh_target import KnownKey, Target, known_keys, load_config, require_paramiko, resolve

try:
    import paramiko
except ImportError:
    pass

#: Seconds; to connect, and for the other side's first words after that.
CONNECT_TIMEOUT = 10.0
#: Seconds between keepalives, and after which unacknowledged data means that the other side is gone.
_KEEPALIVE = 15
_DEAD_AFTER = 90
#: Seconds that a command may take if the caller says nothing else.
RUN_TIMEOUT = 120.0
#: Bytes of a command's standard error that are kept, its end.
_STDERR_TAIL = 64 * 1024

_LOG = "ganeti.cluster.ssh"
# What went wrong is raised; without a handler Python would write paramiko's log of it to standard error as well.
logging.getLogger(_LOG).addHandler(logging.NullHandler())


class SshProcess:
    """A command that runs on a host.

    One thread may read (iterate for standard output's lines, or ``stdout.read``) while another writes ``stdin``.
    Standard error is collected meanwhile, its last 64 KiB are in ``stderr``. Read to the end before ``wait``.
    """

    def __init__(self, host: str, command: str, channel: Any) -> None:
        self.host = host
        self.command = command
        self.channel = channel
        self.stdin = _Stdin(self)
        self.stdout = channel.makefile("rb")
        self._tail = bytearray()
        self._collector = threading.Thread(target=self._collect, name=f"stderr of {command} on {host}", daemon=True)
        self._collector.start()

    @property
    def stderr(self) -> bytes:
        """The end of standard error, as far as it came in."""
        return bytes(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        """Standard output, line by line, without the line ends."""
        try:
            for line in self.stdout:
                yield line.rstrip(b"\r\n")
        except (OSError, EOFError) as error:
            raise self.lost() from error

    def wait(self, timeout: Optional[float] = None) -> int:
        """The exit status; -1 where there is none because a signal, or `kill`, ended it.

        Raises ConnectionFailed where it does not end in so many seconds, or the connection is gone.
        """
        if not self.channel.status_event.wait(timeout):
            raise ConnectionFailed(f"{self.command} on {self.host} did not end within {timeout:.0f} s")
        status = int(self.channel.recv_exit_status())
        if status == -1 and not self.channel.get_transport().is_active():
            raise self.lost()
        self._collector.join(5)
        return status

    def kill(self) -> None:
        """Close the channel: the command's standard input ends and its output has no reader any more."""
        self.channel.close()

    def lost(self) -> ConnectionFailed:
        """The error for a connection that went away while this ran."""
        said = " ".join(self.stderr.decode("utf-8", "replace").split())[-500:]
        return ConnectionFailed(f"The connection to {self.command} on {self.host} was lost" + (f"; it said: {said}" if said else ""))

    def _collect(self) -> None:
        try:
            while True:
                data = self.channel.recv_stderr(32768)
                if not data:
                    return
                self._tail += data
                del self._tail[:-_STDERR_TAIL]
        except OSError:
            # The channel was closed; whoever waits for the command finds out.
            return


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

    ``options``: user (else as configured, else root), port, private_key_file, known_hosts_file, config_file (else
    ~/.ssh/config), agent (default true), password, connect_timeout (seconds). Where the name does not resolve,
    ``fallback_address`` is connected to; the host key is checked under the name all the same.
    """

    def __init__(self, name: str, options: Mapping[str, Any], fallback_address: Optional[str] = None) -> None:
        require_paramiko()
        self.name = name
        self._options = dict(options)
        self._fallback = fallback_address
        self._lock = threading.Lock()
        self._target: Optional[Target] = None
        self._opened: List[Any] = []

    def __repr__(self) -> str:
        return f"<SshHost {self.name}>"

    def __enter__(self) -> SshHost:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def connect(self) -> None:
        """Connect now. Raises HostKeyUnknown, AuthenticationFailed or ConnectionFailed."""
        self._transport()

    def close(self) -> None:
        """Close the connection and those to jump hosts; a later use connects again."""
        with self._lock:
            self._close()

    def popen(self, argv: Sequence[str]) -> SshProcess:
        """Start a command; its words reach it as they are, whatever is in them."""
        try:
            channel = self._transport().open_session(timeout=self._timeout)
            channel.exec_command(shlex.join(argv))
        except (paramiko.SSHException, OSError, EOFError) as error:
            # Only the command's name: its arguments may be nobody's business.
            raise ConnectionFailed(f"{argv[0]} could not be started on {self.name}: {words(error)}") from error
        return SshProcess(self.name, argv[0], channel)

    def run(self, argv: Sequence[str], input: Optional[bytes] = None, timeout: float = RUN_TIMEOUT) -> Tuple[int, bytes, bytes]:
        """Run a command to its end: exit status, standard output, and the end of standard error.

        Raises ConnectionFailed where it does not end in ``timeout`` seconds (it is cut off then) or cannot be run.
        """
        deadline = time.monotonic() + timeout
        process = self.popen(argv)
        writer = threading.Thread(target=_feed, args=(process, input or b""), daemon=True)
        writer.start()
        try:
            output = _read_all(process, deadline)
            status = process.wait(max(0.1, deadline - time.monotonic()))
        except socket.timeout as error:
            raise ConnectionFailed(f"{argv[0]} on {self.name} did not end within {timeout:.0f} s") from error
        finally:
            process.kill()
        return status, output, process.stderr

    @property
    def _timeout(self) -> float:
        return float(self._options.get("connect_timeout") or CONNECT_TIMEOUT)

    def _transport(self) -> Any:
        with self._lock:
            if not self._opened or not self._opened[-1].is_active():
                self._close()
                if self._target is None:
                    self._target = resolve(self.name, self._options, load_config(self._options.get("config_file")))
                try:
                    self._open(self._target, self._fallback, self._options.get("password"))
                except BaseException:
                    self._close()
                    raise
            return self._opened[-1]

    def _close(self) -> None:
        for transport in reversed(self._opened):
            transport.close()
        self._opened = []

    def _open(self, target: Target, fallback: Optional[str], password: Optional[str]) -> None:
        """Connect to the target, to the hosts on the way to it first."""
        if target.via is not None:
            self._open(target.via, None, None)
        known = known_keys(target.known_hosts, target.key_names)
        transport = self._start(target, self._carrier(target, fallback), known)
        self._opened.append(transport)
        check_host_key(target, transport.get_remote_server_key(), known)
        authenticate(transport, target, self._options.get("agent") is not False, password)
        transport.set_keepalive(_KEEPALIVE)

    def _start(self, target: Target, carrier: Any, known: Sequence[KnownKey]) -> Any:
        try:
            transport = paramiko.Transport(carrier)
            transport.set_log_channel(_LOG)
            transport.banner_timeout = transport.handshake_timeout = max(self._timeout, 15)
            prefer_key_types(transport, [key.key_type for key in known])
            transport.start_client(timeout=max(self._timeout, 15))
        except (paramiko.SSHException, OSError, EOFError) as error:
            carrier.close()
            raise ConnectionFailed(f"{target.name} (port {target.port}) does not speak SSH with us: {words(error)}") from error
        return transport

    def _carrier(self, target: Target, fallback: Optional[str]) -> Any:
        """What the SSH connection runs over: a channel of a jump host, a proxy command, or plain TCP."""
        if target.via is not None:
            return self._through(target, target.via, fallback)
        if target.proxy_command is not None:
            try:
                return paramiko.ProxyCommand(target.proxy_command)
            except (OSError, paramiko.SSHException) as error:
                raise ConnectionFailed(f"The ProxyCommand for {target.name} cannot be run: {words(error)}") from error
        return _dial(target, fallback, self._timeout)

    def _through(self, target: Target, via: Target, fallback: Optional[str]) -> Any:
        problem: Optional[Exception] = None
        # Whether a name resolves only the jump host knows, so both are tried.
        for address in [target.hostname] + ([fallback] if fallback else []):
            try:
                return self._opened[-1].open_channel("direct-tcpip", (address, target.port), ("127.0.0.1", 0), timeout=self._timeout)
            except (paramiko.SSHException, OSError, EOFError) as error:
                problem = error
        raise ConnectionFailed(
            f"The jump host {via.name} does not reach {target.name} (port {target.port}): {words(problem)}"
        ) from problem


def _dial(target: Target, fallback: Optional[str], timeout: float) -> socket.socket:
    try:
        carrier = socket.create_connection((target.hostname, target.port), timeout)
    except socket.gaierror as error:
        if fallback and fallback != target.hostname:
            return _dial(target._replace(hostname=fallback), None, timeout)
        raise ConnectionFailed(
            f"The name {target.hostname} does not resolve: correct it, or add it to DNS, /etc/hosts "
            "or, as HostName, to the SSH configuration"
        ) from error
    except OSError as error:
        where = target.name if target.hostname == target.name else f"{target.name} ({target.hostname})"
        reason = "no answer" if isinstance(error, socket.timeout) else words(error)
        raise ConnectionFailed(f"{where} cannot be reached on port {target.port}: {reason}") from error
    # paramiko sends keepalives but does not look for answers; this makes the kernel do it.
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        carrier.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER * 1000)
    return carrier


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


def luxi_over_ssh(host: SshHost) -> LuxiCluster:
    """The cluster whose master is this host, by LUXI through SSH; every Ganeti node has socat. Closes the host with it."""
    running: List[SshProcess] = []

    def dial() -> Any:
        running[:] = [host.popen(["socat", "STDIO", f"UNIX-CONNECT:{SOCKET}"])]
        return running[0].channel

    return LuxiCluster("ssh", host.name, dial, lambda: _why_closed(host, running[0]), host.close)


def _why_closed(host: SshHost, process: SshProcess) -> Optional[ConnectionFailed]:
    """Why socat ended before luxid said anything; None where the connection itself was lost."""
    try:
        status = process.wait(10)
    except ConnectionFailed:
        return None
    said = process.stderr.decode("utf-8", "replace")
    if status == 127:
        return ConnectionFailed(f"socat is missing on {host.name}, though every Ganeti node should have it: install it")
    if "Permission denied" in said:
        return ConnectionFailed(f"The SSH user may not open Ganeti's socket {SOCKET} on {host.name}: connect as root")
    _status, master, _said = host.run(["cat", SSCONF_MASTER])
    _status, names, _said = host.run(["sh", "-c", "hostname; hostname -f"])
    return not_master(host.name, master.decode("utf-8", "replace").strip() or None, names.decode("utf-8", "replace").split())
