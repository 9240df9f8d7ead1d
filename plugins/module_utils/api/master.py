# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Commands on the master: here, or through SSH. For what neither LUXI nor RAPI tells."""

from __future__ import annotations

import json
import subprocess
import typing as t

from .._errors import ConnectionFailed, GanetiError

TIMEOUT = 120.0
"""Seconds that a command may take."""

_READER = """
import json, sys
keys, names = (json.loads(text) for text in sys.argv[1:])
with open("/var/lib/ganeti/config.data") as file:
    cluster = json.load(file)["cluster"]
sys.path[:0] = ["/usr/share/ganeti/default", "/etc/ganeti/share"]
found = {}
try:
    from ganeti import constants, pathutils
    for name in names:
        for module in (constants, pathutils):
            if hasattr(module, name):
                found[name] = getattr(module, name)
                break
except ImportError:
    pass
def plain(value):
    return sorted(value) if isinstance(value, (set, frozenset)) else str(value)
json.dump({"config": {key: cluster.get(key) for key in keys}, "constants": found}, sys.stdout, default=plain)
"""
"""Prints parts of the configuration and of Ganeti's constants. Arguments: two lists of names, as JSON. Where Ganeti's library is not found there are no
constants; where the file may not be read it fails."""


class Runner(t.Protocol):
    """Whatever runs a command on the master: exit status, standard output, standard error."""

    def run(self, argv: t.Sequence[str], input: t.Optional[bytes] = None, timeout: float = TIMEOUT) -> t.Tuple[int, bytes, bytes]: ...

    def close(self) -> None: ...


class LocalRunner:
    """This host is the master."""

    def run(self, argv: t.Sequence[str], input: t.Optional[bytes] = None, timeout: float = TIMEOUT) -> t.Tuple[int, bytes, bytes]:
        """Run a command to its end. Raises ConnectionFailed where it cannot be run or does not end in time."""
        try:
            done = subprocess.run(  # pylint: disable=ansible-bad-function  # there is no module object in here
                list(argv), input=input or b"", capture_output=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ConnectionFailed(f"{argv[0]} on this host did not end within {timeout:.0f} s.") from error
        except OSError as error:
            raise ConnectionFailed(f"{argv[0]} cannot be run on this host: {error.strerror or error}.") from error
        return done.returncode, done.stdout, done.stderr

    def close(self) -> None:
        """Nothing is held open."""


def runner(options: t.Mapping[str, t.Any]) -> t.Optional[Runner]:
    """What runs commands on the master that the options of `connect` lead to; None for RAPI, which runs none."""
    if options["transport"] == "rapi":
        return None
    if options["transport"] == "luxi":
        return LocalRunner()
    # Imported here, not above: a module that runs on the master shall not load paramiko.
    from .ssh import SshHost

    return SshHost(str(options["address"]), options.get("ssh") or {})


def succeed(master: Runner, argv: t.Sequence[str], what: str, input: t.Optional[bytes] = None) -> bytes:
    """The standard output of a command that has to succeed; ``what`` says in messages what it was for."""
    status, output, said = master.run(argv, input)
    if status != 0:
        raise GanetiError(f"{what} failed on the master: {_last_line(said) or _last_line(output) or f'exit status {status}'}.")
    return output


def read_configuration(master: Runner, keys: t.Sequence[str], names: t.Sequence[str]) -> t.Tuple[t.Dict[str, t.Any], t.Dict[str, t.Any]]:
    """Parts of the cluster's configuration that queries lack, and constants of the Ganeti that is installed."""
    argv = ["/usr/bin/python3", "-c", _READER, json.dumps(list(keys)), json.dumps(list(names))]
    status, output, said = master.run(argv)
    if b"PermissionError" in said:
        raise GanetiError("Ganeti's configuration on the master may not be read by this user: connect as root, or become root there.")
    if status != 0:
        raise GanetiError(f"Reading Ganeti's configuration failed on the master: {_last_line(said) or f'exit status {status}'}.")
    try:
        answer = json.loads(output)
        return answer["config"], answer["constants"]
    except (ValueError, KeyError, TypeError):
        raise GanetiError("The master did not answer with its configuration: does a login script of its user print something?") from None


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip().rstrip(".") if lines else ""
