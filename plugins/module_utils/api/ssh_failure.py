# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What OpenSSH wrote when it could not connect, as one sentence: what happened, to which host, what to do.

The text is all that OpenSSH and the OpenSSH of the jump hosts wrote, with ``LogLevel DEBUG1``. Where a jump fails, the host behind it only
says that its connection was closed; so kinds of failure are tried in an order, and the first that fits is the cause.
"""

from __future__ import annotations

import re
import shlex
import typing as t

from .._errors import AuthenticationFailed, ConnectionFailed, GanetiError, HostKeyUnknown, InvalidInput
from .ssh_settings import Answer

_LONGEST = 300
_ECHO = re.compile(r"kex_exchange_identification: |ssh_exchange_identification: |banner exchange: |Connection (?:closed|reset) by ")
"""What OpenSSH says because somebody else ended the connection, who may have said why."""
_NEWS = re.compile(r"debug\d: |Killed by signal |Transferred: |Bytes per second: |Authenticated to ")
"""What it says of connections that work, and of the one that we end."""


class NameUnresolved(ConnectionFailed):
    """A host's name has no address, here or where the last jump host is."""


def explain(answer: Answer, text: str) -> GanetiError:
    """The error for a connection to ``answer.name`` that OpenSSH could not make."""
    said = text.replace("\r", "")
    for pattern, make in _KINDS:
        match = re.search(pattern, said, re.MULTILINE)
        if match is not None:
            return make(answer, match, said)
    return ConnectionFailed(f"{_host(answer)} cannot be reached by SSH: {last_words(said) or 'OpenSSH does not say why'}.")


def last_words(text: str) -> str:
    """The last line that says why something ended, without its full stop."""
    lines = [line.strip() for line in text.replace("\r", "").splitlines() if line.strip() and not _NEWS.match(line)]
    causes = [line for line in lines if not _ECHO.match(line)] or lines
    return causes[-1][-_LONGEST:].rstrip(".") if causes else ""


def scan(answer: Answer) -> str:
    """The command that shows a host's keys, as they are seen from where its connection comes from."""
    words = ["ssh-keyscan"] + (["-p", str(answer.port)] if answer.port != 22 else []) + [answer.hostname]
    if answer.proxy_jump:
        words = ["ssh", answer.proxy_jump.rpartition(",")[2], *words]
    return shlex.join(words)


def _host(answer: Answer) -> str:
    return answer.name if answer.hostname == answer.name else f"{answer.name} ({answer.hostname})"


def _is_target(answer: Answer, name: str) -> bool:
    return name.lower() in (answer.key_name.lower(), answer.hostname.lower(), answer.name.lower())


def _on_the_way(answer: Answer, name: str) -> str:
    """A host as OpenSSH calls it, in words; it may be a jump host."""
    return answer.name if _is_target(answer, name) else f"{name} (on the way to {answer.name})"


def _shown_key(said: str) -> str:
    """The last key that a host showed: the one that was not accepted."""
    keys = re.findall(r"^debug1: Server host (?:key|certificate): (\S+) (\S+?),?(?:\s|$)", said, re.MULTILINE)
    return f" ({' '.join(keys[-1])})" if keys else ""


def _changed(answer: Answer, match: t.Match[str], said: str) -> GanetiError:
    name = match[1]
    where = re.search(r"^Offending \S+ key in (.+):(\d+)$", said, re.MULTILINE)
    file = where[1] if where else answer.known_hosts[0]
    line = f", line {where[2]}" if where else ""
    return HostKeyUnknown(
        f"The host key of {_on_the_way(answer, name)}{_shown_key(said)} is not the one in {file}{line}: the host was installed anew, or somebody "
        f"else answers. Verify it, then remove the old one with: {shlex.join(['ssh-keygen', '-R', name, '-f', file])}"
    )


def _revoked(answer: Answer, match: t.Match[str], said: str) -> GanetiError:
    return HostKeyUnknown(f"The host key of {answer.name}{_shown_key(said)} is marked as revoked: do not trust this host.")


def _unknown(answer: Answer, match: t.Match[str], said: str) -> GanetiError:
    name = match[1]
    start = f"The host key of {_on_the_way(answer, name)}{_shown_key(said)}"
    file = answer.known_hosts[0] if answer.known_hosts else "none"
    if file in ("/dev/null", "none"):
        return HostKeyUnknown(f"{start} is not known, and the SSH configuration keeps none (UserKnownHostsFile {file}): name one with known_hosts_file.")
    if not _is_target(answer, name):
        return HostKeyUnknown(f"{start} is not in {file}: verify it and add it.")
    if answer.proxy_command:
        return HostKeyUnknown(f"{start} is not in {file}: verify it on the host, in /etc/ssh, and add it under the name {answer.key_name}.")
    return HostKeyUnknown(f"{start} is not in {file}: verify it and add it with: {scan(answer)} >> {shlex.quote(file)}")


def _certificate(answer: Answer, match: t.Match[str], said: str) -> GanetiError:
    return HostKeyUnknown(
        f"The host certificate of {answer.name}{_shown_key(said)} does not hold: {match[1].strip()}. Have the authority sign a new one for this name."
    )


def _not_verified(answer: Answer, match: t.Match[str], said: str) -> GanetiError:
    return HostKeyUnknown(f"The host key of {answer.name}{_shown_key(said)} was not accepted: {match[0].rstrip('.')}.")


def _denied(answer: Answer, match: t.Match[str], said: str) -> GanetiError:
    who = re.match(r"(\S+)@(\S+): ", match[0])
    user, name = (who[1], _on_the_way(answer, who[2])) if who else (answer.user, answer.name)
    offered = list(dict.fromkeys(re.findall(r"^debug1: Offering public key: (.+?) \S+ SHA256:", said, re.MULTILINE)))
    unprotected = re.search(r"Permissions \S+ for '(.+)' are too open", said)
    if unprotected:
        return AuthenticationFailed(f"The private key {unprotected[1]} can be read by others, so OpenSSH does not use it: chmod 600 it.")
    accepted = re.findall(r"^debug1: Server accepts key: (.+?) \S+ SHA256:", said, re.MULTILINE)
    if accepted and "Authenticated to" not in said.rpartition("debug1: Server accepts key: ")[2]:
        return AuthenticationFailed(
            f"{name} would let {user} in with the key {accepted[-1]}, but it cannot be used without its passphrase: load it into an agent with: ssh-add"
        )
    keys = "no key at all" if not offered else "the " + ("key " if len(offered) == 1 else "keys ") + ", ".join(offered[:8])
    return AuthenticationFailed(
        f"{name} does not let {user} in with {keys}: add a public key to {user}'s authorized_keys there, or name the right user and private key."
    )


def _unresolved(answer: Answer, match: t.Match[str], said: str) -> GanetiError:
    return NameUnresolved(f"The name {match[1]} does not resolve: correct it, or add it to DNS, /etc/hosts or, as HostName, to the SSH configuration.")


def _behind_jump(answer: Answer, match: t.Match[str], said: str) -> GanetiError:
    kind = NameUnresolved if re.search("name|resol|address associated", match[1], re.IGNORECASE) else ConnectionFailed
    way = f"The jump host {answer.proxy_jump}" if answer.proxy_jump else "The host in between"
    return kind(f"{way} does not reach {_host(answer)} port {answer.port}: {match[1].strip()}.")


def _no_way(answer: Answer, match: t.Match[str], said: str) -> GanetiError:
    name, port, why = match[1], match[2], match[3].strip()
    return ConnectionFailed(f"{_on_the_way(answer, name)} cannot be reached by SSH on {name} port {port}: {why}.")


def _configured(answer: Answer, match: t.Match[str], said: str) -> GanetiError:
    return InvalidInput(f"OpenSSH does not take its configuration for {answer.name}: {match[0].strip()}.")


def _no_agreement(answer: Answer, match: t.Match[str], said: str) -> GanetiError:
    return ConnectionFailed(f"OpenSSH and {answer.name} have no {match[1]} in common; the host offers {match[2]}: allow one of them on either side.")


_Make = t.Callable[[Answer, t.Match[str], str], GanetiError]
_KINDS: t.Tuple[t.Tuple[str, _Make], ...] = (
    (r"^.*REVOKED HOST KEY DETECTED|^.*(?:is marked as|: )revoked", _revoked),
    (r"^Host key for (\S+) has changed and you have requested strict checking", _changed),
    (r"^Certificate invalid: (.+)$", _certificate),
    (r"^No \S+ host key is known for (\S+) and you have requested strict checking", _unknown),
    (r"^Host key verification failed\.?$", _not_verified),
    (r"^\S+@\S+: Permission denied \(.*\)|^.*Too many authentication failures.*$", _denied),
    (r"^ssh: Could not resolve hostname (\S+): ", _unresolved),
    (r"^channel \d+: open failed: (?:connect failed: )?(.+)$", _behind_jump),
    (r"^ssh: connect to host (\S+) port (\d+): (.+)$", _no_way),
    (r"^Bad owner or permissions on .+$|^.*[Bb]ad configuration option.*$", _configured),
    (r"no matching (.+) found\. Their offer: (.+)$", _no_agreement),
)
