# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""paramiko as the carrier: for controllers without OpenSSH, and for passwords.

With OpenSSH on the controller, ``ssh -G`` says what to connect to, and OpenSSH makes the way through jump hosts and proxy commands. Without it
there is no configuration: the options say all, and naming a configuration is refused.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import re
import socket
import subprocess
import typing as t

from .._errors import AuthenticationFailed, ConnectionFailed, GanetiError, HostKeyUnknown, InvalidInput
from .ssh_failure import explain, last_words, reason, scan
from .ssh_known_hosts import KnownKey, known_keys
from .ssh_openssh import Tail
from .ssh_settings import HostSettings, SshOptions, Workspace, ask

try:
    import paramiko
except ImportError:
    HAS_PARAMIKO = False
else:
    HAS_PARAMIKO = True

_LOG = "ganeti.cluster.ssh"
# What went wrong is raised; without a handler Python would write paramiko's log of it to standard error as well.
logging.getLogger(_LOG).addHandler(logging.NullHandler())

_KEEPALIVE = 15
_DEAD_AFTER = 90
"""Seconds between keepalives, and after which unacknowledged data means that the other side is gone."""
_DEFAULT_KEYS = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")
_DEFAULT_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts")
_RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")
"""Keys of the type ssh-rsa sign with these (RFC 8332)."""
_TOKEN = re.compile("%(.?)")


class CommandChannel:
    """A command in a connection; as `ssh_openssh.CommandChannel`."""

    def __init__(self, transport: t.Any, timeout: float, command: str) -> None:
        try:
            self._channel: t.Any = transport.open_session(timeout=timeout)
            self._channel.exec_command(command)
        except paramiko.SSHException as error:
            raise OSError(reason(error)) from error
        self._killed = False
        self._error = Tail(self._read_error, lambda: None)
        self.settimeout = self._channel.settimeout
        self.sendall = self._channel.sendall
        self.shutdown_write = self._channel.shutdown_write
        self.recv = self._channel.recv

    @property
    def stderr(self) -> bytes:
        """The end of standard error, as far as it came in."""
        return self._error.text

    def makefile(self) -> t.BinaryIO:
        """Its output as a file."""
        return t.cast(t.BinaryIO, self._channel.makefile("rb"))

    def wait(self, seconds: t.Optional[float]) -> t.Optional[int]:
        """The exit status, or None where it goes on. -1 where a signal or `close` ended it."""
        if not self._channel.status_event.wait(seconds):
            return None
        self._error.join(5.0)
        # What was closed may still say how it took the end of its input.
        return -1 if self._killed else int(self._channel.recv_exit_status())

    def lost(self) -> t.Optional[str]:
        """Why this ended though the command did not, or None where it did."""
        gone = not self._killed and self._channel.recv_exit_status() == -1 and not self._channel.get_transport().is_active()
        return "the connection was closed" if gone else None

    def close(self) -> None:
        """End it: its input ends, and its output has no reader any more."""
        self._killed = self._killed or not self._channel.status_event.is_set()
        self._channel.close()

    def _read_error(self, size: int) -> bytes:
        while True:
            try:
                return bytes(self._channel.recv_stderr(size))
            except socket.timeout:
                # The time limit is the reader's of standard output.
                continue
            except OSError:
                # The channel was closed; whoever waits for the command finds out.
                return b""


class Connection:
    """One connection to a host, made at once; as `ssh_openssh.Connection`."""

    def __init__(self, program: t.Optional[str], name: str, options: SshOptions, fallback: t.Optional[str]) -> None:
        if not HAS_PARAMIKO:
            need = "a password is used with" if program else "there is no OpenSSH here, so what is needed is"
            raise GanetiError(f"{name} cannot be reached by SSH: {need} paramiko, which is missing on the controller: pip install paramiko")
        self._options = options
        self._workspace = Workspace(name, options) if program else None
        self._proxy: t.Optional[subprocess.Popen[bytes]] = None
        self._proxy_said: t.Optional[Tail] = None
        self._transport: t.Any = None
        try:
            self._settings = ask(program, name, options, self._workspace) if program and self._workspace else without_openssh(name, options)
            self._open(self._connected_sock(program, fallback))
        except BaseException:
            self.close()
            raise

    def alive(self) -> bool:
        """Whether the connection is there, as far as is known."""
        return bool(self._transport.is_active())

    def execute(self, command: str) -> CommandChannel:
        """Start a command. Raises OSError where the host does not."""
        return CommandChannel(self._transport, self._options.connect_timeout, command)

    def close(self) -> None:
        """End the connection and whatever was started for it."""
        if self._transport is not None:
            self._transport.close()
        if self._proxy is not None:
            self._proxy.terminate()
            self._proxy.wait()
        if self._workspace is not None:
            self._workspace.remove()

    def _open(self, sock: socket.socket) -> None:
        settings = self._settings
        known = known_keys(_known_hosts(settings, self._options), settings.key_name)
        patience = max(self._options.connect_timeout, 15.0)
        try:
            self._transport = paramiko.Transport(sock)
            self._transport.set_log_channel(_LOG)
            self._transport.banner_timeout = self._transport.handshake_timeout = patience
            prefer_key_types(self._transport, [key.key_type for key in known])
            self._transport.start_client(timeout=patience)
        except (paramiko.SSHException, OSError, EOFError) as error:
            sock.close()
            raise self._why_not(reason(error)) from error
        check_host_key(settings, _known_hosts(settings, self._options)[0], self._transport.get_remote_server_key(), known)
        authenticate(self._transport, settings, self._options)
        self._transport.set_keepalive(_KEEPALIVE)

    def _connected_sock(self, program: t.Optional[str], fallback: t.Optional[str]) -> socket.socket:
        """What the connection runs over: plain TCP, or a command of OpenSSH's or the user's."""
        settings = self._settings
        if program and self._workspace and settings.proxy_jump:
            return self._through(jump(program, self._workspace.config, settings))
        if program and settings.proxy_command:
            return self._through(["/bin/sh", "-c", "exec " + expand(settings, settings.proxy_command)])
        return dial(settings, settings.hostname, fallback, self._options.connect_timeout)

    def _through(self, argv: t.Sequence[str]) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._proxy = subprocess.Popen(  # pylint: disable=ansible-bad-function  # there is no module object in here
                argv, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.PIPE, bufsize=0, start_new_session=True
            )
        said = t.cast(t.IO[bytes], self._proxy.stderr)
        self._proxy_said = Tail(said.read, said.close)
        return ours

    def _why_not(self, why: str) -> GanetiError:
        """Why nobody spoke SSH: whoever made the way may have said."""
        if self._proxy is not None and self._proxy_said is not None and self._workspace is not None:
            self._proxy.terminate()
            self._proxy_said.join(1.0)
            said = self._workspace.shown(self._proxy_said.text.decode("utf-8", "replace"))
            if last_words(said):
                return explain(self._settings, said)
        return ConnectionFailed(f"{self._settings.name} (port {self._settings.port}) does not speak SSH with us: {why}.")


def without_openssh(name: str, options: SshOptions) -> HostSettings:
    """What to do for a host where nothing reads a configuration."""
    if options.config_file:
        raise InvalidInput(f"The SSH configuration {options.config_file} needs OpenSSH, which is missing on the controller: install its client.")
    key_files = tuple(os.path.expanduser(path) for path in _DEFAULT_KEYS)
    known_hosts = tuple(os.path.expanduser(path) for path in _DEFAULT_KNOWN_HOSTS)
    return HostSettings(name, name.lower(), options.port or 22, options.user or "root", None, known_hosts, key_files, None, None)


def jump(program: str, config: str, settings: HostSettings) -> t.List[str]:
    """The command that makes the way through jump hosts: what OpenSSH runs itself for a ``ProxyJump``."""
    *before, last = [one.strip() for one in str(settings.proxy_jump).split(",")]
    uri = last if last.startswith("ssh://") else f"ssh://{last}"
    return [program, "-F", config, *(["-J", ",".join(before)] if before else []), "-W", f"[{settings.hostname}]:{settings.port}", "--", uri]


def expand(settings: HostSettings, command: str) -> str:
    """A ProxyCommand with its tokens in place. Raises InvalidInput for those that take more than the host to know."""
    values = {"%": "%", "h": settings.hostname, "n": settings.name, "p": str(settings.port), "r": settings.user}

    def value(match: t.Match[str]) -> str:
        if match[1] not in values:
            raise InvalidInput(f"The ProxyCommand for {settings.name} has {match[0]}, which cannot be had together with a password: use a key.")
        return values[match[1]]

    return _TOKEN.sub(value, command)


def dial(settings: HostSettings, address: str, fallback: t.Optional[str], timeout: float) -> socket.socket:
    """A TCP connection to the host; to the fallback where its name does not resolve."""
    try:
        sock = socket.create_connection((address, settings.port), timeout)
    except socket.gaierror as error:
        if fallback and fallback != address:
            return dial(settings, fallback, None, timeout)
        raise ConnectionFailed(
            f"The name {address} does not resolve: correct it, or add it to DNS, /etc/hosts or, as HostName, to the SSH configuration."
        ) from error
    except OSError as error:
        why = "no answer" if isinstance(error, socket.timeout) else reason(error)
        raise ConnectionFailed(f"{settings.name} cannot be reached by SSH on {address} port {settings.port}: {why}.") from error
    # paramiko sends keepalives but does not look for answers; this makes the kernel do it.
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER * 1000)
    return sock


def _known_hosts(settings: HostSettings, options: SshOptions) -> t.Sequence[str]:
    return (options.known_hosts_file,) if options.known_hosts_file else settings.known_hosts


def prefer_key_types(transport: t.Any, known_types: t.Sequence[str]) -> None:
    """Ask for the types of host key that are known first: a host has several, any of which it may show."""
    wanted = set(known_types)
    if "ssh-rsa" in wanted:
        wanted.update(_RSA_SIGNATURES)
    offered = transport.get_security_options()
    offered.key_types = tuple(sorted(offered.key_types, key=lambda key_type: key_type not in wanted))


def check_host_key(settings: HostSettings, file: str, key: t.Any, known: t.Sequence[KnownKey]) -> None:
    """Raise HostKeyUnknown unless the key that the host showed is one that is known to be its own."""
    blob = key.asbytes()
    shown = f"{key.get_name()} {fingerprint(blob)}"
    if any(one.revoked and one.blob == blob for one in known):
        raise HostKeyUnknown(f"The host key of {settings.name} ({shown}) is marked as revoked: do not trust this host.")
    trusted = [one for one in known if not one.revoked]
    if any(one.blob == blob for one in trusted):
        return
    if trusted:
        raise HostKeyUnknown(
            f"The host key of {settings.name} ({shown}) is not the one in {file}: the host was installed anew, or somebody else answers. "
            f"Verify it, then remove the old one with: ssh-keygen -R '{settings.key_name}' -f {file}"
        )
    raise HostKeyUnknown(f"The host key of {settings.name} ({shown}) is not in {file}: verify it and add it with: {scan(settings)} >> {file}")


def fingerprint(blob: bytes) -> str:
    """A key's fingerprint as ssh-keygen -l shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")


def authenticate(transport: t.Any, settings: HostSettings, options: SshOptions) -> None:
    """Log in with keys, then with the password where there is one. Raises AuthenticationFailed."""
    tried: t.List[str] = []
    keys = _Keys(settings, options)
    try:
        for label, key in keys:
            tried.append(label)
            if _try(transport.auth_publickey, settings.user, key):
                return
        if options.password is not None:
            tried.append("the password")
            if _try(transport.auth_password, settings.user, options.password):
                return
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise AuthenticationFailed(
            f"{settings.name} closed the connection while {settings.user} was logging in, after {', '.join(tried) or 'no key'}: {reason(error)}."
        ) from error
    finally:
        keys.close()
    skipped = "".join(f"; {note}" for note in keys.skipped)
    raise AuthenticationFailed(
        f"{settings.name} does not let {settings.user} in with {', '.join(tried) or 'no key at all'}{skipped}: "
        f"add a public key to {settings.user}'s authorized_keys there, or name the right user and private key."
    )


def _try(method: t.Any, user: str, credential: t.Any) -> bool:
    """Whether this credential is enough."""
    try:
        return not method(user, credential)
    except paramiko.AuthenticationException as error:
        # A server that has closed the connection will not look at another one.
        if isinstance(error, paramiko.BadAuthenticationType) or method.__self__.is_active():
            return False
        raise


class _Keys:
    """The private keys to try, in order, each with what messages call it; ``skipped`` says which were of no use and why.

    Where one was named it comes first, and the agent's are left alone: a server lets one try only so many (sshd: MaxAuthTries, 6 by default).
    """

    def __init__(self, settings: HostSettings, options: SshOptions) -> None:
        self._named = options.private_key_file
        self._files = settings.key_files
        self._use_agent = options.agent and not options.private_key_file
        self._agent: t.Any = None
        self.skipped: t.List[str] = []

    def __iter__(self) -> t.Iterator[t.Tuple[str, t.Any]]:
        if self._use_agent:
            yield from self._from_agent()
        for path in [self._named] if self._named else self._files:
            if os.path.exists(path):
                yield from self._load(path)

    def close(self) -> None:
        if self._agent is not None:
            self._agent.close()

    def _load(self, path: str) -> t.Iterator[t.Tuple[str, t.Any]]:
        """The key of a file, with its certificate first where one lies beside it."""
        for kind in (paramiko.Ed25519Key, paramiko.RSAKey, paramiko.ECDSAKey):
            try:
                if os.path.exists(f"{path}-cert.pub"):
                    certified = kind.from_private_key_file(path)
                    certified.load_certificate(f"{path}-cert.pub")
                    yield f"the certificate {path}-cert.pub", certified
                yield f"the key {path}", kind.from_private_key_file(path)
                return
            except paramiko.PasswordRequiredException:
                self.skipped.append(f"the key {path} is encrypted, load it into an agent (ssh-add)")
                return
            except OSError as error:
                self.skipped.append(f"the key {path} cannot be read ({error.strerror})")
                return
            except (paramiko.SSHException, ValueError):
                continue
        self.skipped.append(f"{path} is no private key of a kind that is supported")

    def _from_agent(self) -> t.Iterator[t.Tuple[str, t.Any]]:
        try:
            self._agent = paramiko.Agent()
            for number, key in enumerate(self._agent.get_keys(), 1):
                yield f"the agent's key {number}", key
        except (paramiko.SSHException, OSError) as error:
            self.skipped.append(f"the SSH agent does not answer ({reason(error)})")
