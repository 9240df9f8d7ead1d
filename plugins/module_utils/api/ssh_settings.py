# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How OpenSSH is asked to connect, and what it answers that it is going to do.

No line of the user's configuration is understood here. OpenSSH reads a file of ours: first `SETTINGS`, then the user's configuration, then
root as the user where nothing named one. The first value of a setting is the one that counts (ssh_config(5)), so nothing in the user's files
undoes ours; and as OpenSSH passes this file on to the jump hosts of a ``ProxyJump``, the same holds on the whole way.
Before anything is connected to, ``ssh -G`` tells what came of it, and `check` refuses what is not as safe as was asked for.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import typing as t

from .._errors import ConnectionFailed, InvalidInput

_HOST = re.compile(r"[\w.:][\w.:%-]*")
"""Names and addresses of hosts, and users: nothing that means something in a configuration file or as an option."""
_USER = re.compile(r"[\w.][\w.@+-]*")
_PLAIN_DIRECTORY = re.compile(r"/[\w./-]{0,50}")
"""Directories whose name needs no quoting in a configuration file and leaves room for a socket's (108 bytes, 104 on some systems)."""
_GIVEN = "configuration"
_KNOWN_HOSTS = "known_hosts"
_KEY = "key"
_BESIDE_A_KEY = (".pub", "-cert.pub")
"""What belongs to a private key: its public half, and the certificate of that."""
_ASKING = 30.0
"""Seconds that ``ssh -G`` may take: ``Match exec`` runs commands."""

SETTINGS = (
    # A host's key is known, or nothing is sent; no server, DNS or address on loopback changes that.
    ("StrictHostKeyChecking", "yes"),
    ("VerifyHostKeyDNS", "no"),
    ("NoHostAuthenticationForLocalhost", "no"),
    ("UpdateHostKeys", "no"),
    # Nobody is there to answer a question.
    ("BatchMode", "yes"),
    # A connection that somebody else made may have been made with less care, and ends when its maker wants.
    ("ControlMaster", "no"),
    ("ControlPath", "none"),
    ("ControlPersist", "no"),
    # A node gets nothing but the commands it is to run.
    ("ForwardAgent", "no"),
    ("ForwardX11", "no"),
    ("GSSAPIDelegateCredentials", "no"),
    ("ClearAllForwardings", "yes"),
    ("Tunnel", "no"),
    ("PermitLocalCommand", "no"),
    ("RemoteCommand", "none"),
    ("RequestTTY", "no"),
    # A network that died is noticed after 90 seconds.
    ("ServerAliveInterval", "15"),
    ("ServerAliveCountMax", "6"),
    # Messages name keys and hosts; see ssh_failure.
    ("LogLevel", "DEBUG1"),
)
"""For every host on the way, whatever the user's configuration says."""
_REQUIRED = {
    "stricthostkeychecking": ("yes", "true"),
    "batchmode": ("yes",),
    "verifyhostkeydns": ("no", "false"),
    "nohostauthenticationforlocalhost": ("no",),
    "forwardagent": ("no",),
}
"""What ``ssh -G`` must answer, as some version of OpenSSH writes it. It says nothing of a setting that it does not know."""
_REFUSED = {"forkafterauthentication": "yes"}
"""It would put the connection out of our hands, and older versions know no way to say no."""


class SshOptions(t.NamedTuple):
    """The option group ``ssh`` of the modules."""

    user: t.Optional[str] = None
    port: t.Optional[int] = None
    private_key_file: t.Optional[str] = None
    known_hosts_file: t.Optional[str] = None
    config_file: t.Optional[str] = None
    agent: bool = True
    password: t.Optional[str] = None
    connect_timeout: float = 20.0


def ssh_options(name: str, given: t.Mapping[str, t.Any]) -> SshOptions:
    """The options for a host, with paths in full. Raises InvalidInput for names that are none and files that are not there."""
    options = SshOptions(**{key: given[key] for key in SshOptions._fields if given.get(key) is not None})
    for text, pattern, what in ((name, _HOST, "host"), (options.user, _USER, "user")):
        if text is not None and not pattern.fullmatch(text):
            raise InvalidInput(f"{text!r} is no name of a {what} for SSH: it has spaces or other characters in it that no such name has.")
    if options.port is not None and not 0 < options.port < 65536:
        raise InvalidInput(f"The SSH port {options.port} of {name} is none: ports are numbers from 1 to 65535.")
    options = options._replace(
        private_key_file=_in_full(options.private_key_file),
        known_hosts_file=_in_full(options.known_hosts_file),
        config_file=_in_full(options.config_file),
    )
    for key, what in (("private_key_file", "The private key file"), ("config_file", "The SSH configuration")):
        path = getattr(options, key)
        if path is not None and not os.path.exists(path):
            raise InvalidInput(f"{what} {path} does not exist: correct {key}.")
    return options


def _in_full(path: t.Optional[str]) -> t.Optional[str]:
    return os.path.abspath(os.path.expanduser(path)) if path else None


class Workspace:
    """A directory of our own for one connection: OpenSSH's configuration, and the socket that its sessions go through.

    The files that options name appear in it under names of ours, so that no character of theirs has to be quoted, and a configuration that was
    named need not be writable by its owner alone, as with ``ssh -F``.
    """

    def __init__(self, name: str, options: SshOptions) -> None:
        base = tempfile.gettempdir()
        self.directory = tempfile.mkdtemp(prefix="ganeti-ssh-", dir=base if _PLAIN_DIRECTORY.fullmatch(base) else "/tmp")
        self.config = os.path.join(self.directory, "config")
        self.socket = os.path.join(self.directory, "s")
        self._names: t.Dict[str, str] = {}
        try:
            given = self._copy(options.config_file) if options.config_file else None
            known_hosts = self._link(options.known_hosts_file, _KNOWN_HOSTS) if options.known_hosts_file else None
            self.key = self._link(options.private_key_file, _KEY, _BESIDE_A_KEY) if options.private_key_file else None
            with open(self.config, "w", encoding="ascii") as file:
                file.write(openssh_config(name, options, given, known_hosts))
        except BaseException:
            self.remove()
            raise

    def shown(self, text: str) -> str:
        """A text of OpenSSH's with the names of files as the user knows them."""
        for ours, theirs in self._names.items():
            text = text.replace(ours, theirs)
        return text

    def remove(self) -> None:
        """Take the directory away; that it is gone already is as good."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _copy(self, path: str) -> str:
        ours = os.path.join(self.directory, _GIVEN)
        try:
            shutil.copyfile(path, ours)
        except OSError as error:
            raise InvalidInput(f"The SSH configuration {path} cannot be read: {error.strerror or error}.") from error
        self._names[ours] = path
        return ours

    def _link(self, path: str, name: str, beside: t.Sequence[str] = ()) -> str:
        ours = os.path.join(self.directory, name)
        os.symlink(path, ours)
        for suffix in beside:
            if os.path.exists(path + suffix):
                os.symlink(path + suffix, ours + suffix)
        self._names[ours] = path
        return ours


def openssh_config(name: str, options: SshOptions, given: t.Optional[str], known_hosts: t.Optional[str]) -> str:
    """OpenSSH's configuration for one host and the hosts on the way to it; ``given`` and ``known_hosts`` are files that replace the user's."""
    lines = [f"{key} {value}" for key, value in SETTINGS]
    lines.append(f"ConnectTimeout {max(1, round(options.connect_timeout))}")
    if known_hosts:
        lines += [f"UserKnownHostsFile {known_hosts}", "GlobalKnownHostsFile /dev/null"]
    if not options.agent:
        lines.append("IdentityAgent none")
    lines += [f"Include {file}" for file in ([given] if given else ["~/.ssh/config", "/etc/ssh/ssh_config"])]
    return "\n".join(lines + [f"Match originalhost {name}", "User root", ""])


class HostSettings(t.NamedTuple):
    """What OpenSSH is going to do for a host."""

    name: str
    hostname: str
    port: int
    user: str
    key_alias: t.Optional[str]
    known_hosts: t.Tuple[str, ...]
    key_files: t.Tuple[str, ...]
    proxy_jump: t.Optional[str]
    proxy_command: t.Optional[str]

    @property
    def key_name(self) -> str:
        """The name that the host's key is known under."""
        return self.key_alias or (self.hostname if self.port == 22 else f"[{self.hostname}]:{self.port}")


def own_options(options: SshOptions, workspace: Workspace) -> t.List[str]:
    """The arguments of ssh that are meant for the host itself, not for those on the way to it."""
    argv = ["-l", options.user] if options.user else []
    argv += ["-p", str(options.port)] if options.port else []
    if workspace.key:
        # With other keys first, a server may have lost its patience before this one's turn (sshd: MaxAuthTries).
        argv += ["-i", workspace.key, "-o", "IdentitiesOnly=yes"]
    return argv


def ask(program: str, name: str, options: SshOptions, workspace: Workspace) -> HostSettings:
    """Let OpenSSH say what it makes of the configuration. Raises InvalidInput with what it says for one that it does not take."""
    argv = [program, "-G", "-N", "-F", workspace.config, *own_options(options, workspace), "--", name]
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function  # there is no module object in here
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASKING, check=False, start_new_session=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConnectionFailed(f"OpenSSH ({program} -G {name}) does not say how it would connect to {name}: {error}.") from error
    if done.returncode:
        said = workspace.shown(done.stderr.decode("utf-8", "replace"))
        complaints = "; ".join(line.strip().rstrip(".") for line in said.splitlines() if not line.startswith("debug1:"))
        raise InvalidInput(f"OpenSSH does not take its configuration for {name}: {complaints or f'exit status {done.returncode}'}.")
    settings = check(name, workspace.shown(done.stdout.decode("utf-8", "replace")))
    return settings._replace(known_hosts=(options.known_hosts_file,)) if options.known_hosts_file else settings


def check(name: str, text: str) -> HostSettings:
    """The settings out of what ``ssh -G`` wrote. Raises InvalidInput where it would do less, or more, than it was told."""
    found: t.Dict[str, t.List[str]] = {}
    for line in text.splitlines():
        key, _separator, value = line.partition(" ")
        found.setdefault(key, []).append(value)
    first = {key: values[0] for key, values in found.items()}
    for key, values in _REQUIRED.items():
        if first.get(key) not in values:
            raise InvalidInput(f"OpenSSH would connect to {name} with {key} {first.get(key)}, not {values[0]}: nothing is sent that way.")
    for key, value in _REFUSED.items():
        if first.get(key) == value:
            raise InvalidInput(f"The SSH configuration sets {key} to {value} for {name}, which would leave a connection behind: take it out.")
    try:
        return HostSettings(
            name=name,
            hostname=first["hostname"],
            port=int(first["port"]),
            user=first["user"],
            key_alias=first.get("hostkeyalias"),
            known_hosts=tuple(os.path.expanduser(file) for key in ("userknownhostsfile", "globalknownhostsfile") for file in first.get(key, "").split()),
            key_files=tuple(os.path.expanduser(file) for file in found.get("identityfile", [])),
            proxy_jump=_unless_none(first.get("proxyjump")),
            proxy_command=_unless_none(first.get("proxycommand")),
        )
    except (KeyError, ValueError) as error:
        raise InvalidInput(f"What ssh -G says about {name} is not OpenSSH's: {error}. Install OpenSSH's client.") from error


def _unless_none(value: t.Optional[str]) -> t.Optional[str]:
    return None if value is None or value.lower() == "none" else value
