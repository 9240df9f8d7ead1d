# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a user asks of a move, with names that are safe to pass on."""

from __future__ import annotations

import re
import typing as t

from .._errors import InvalidInput
from ..compression.choose import AUTO
from ..stream.tools import NONE, valid_name

_HOST_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)*\Z")
_CIPHER = re.compile(r"[A-Za-z0-9][-_A-Za-z0-9]*\Z")
_MOST_LANES = 32


class NicOverride(t.NamedTuple):
    """What changes about the interface *number*; None keeps what the source has."""

    number: int
    mac: str
    ip: t.Optional[str]
    mode: t.Optional[str]
    link: t.Optional[str]
    vlan: t.Optional[str]
    network: t.Optional[str]


class Options(t.NamedTuple):
    """The options of a move; times in seconds. See the module's documentation for their meaning."""

    name: str
    state: str
    destination_name: str
    source: t.Mapping[str, t.Any]
    destination: t.Mapping[str, t.Any]
    primary_node: t.Optional[str]
    iallocator: t.Optional[str]
    disk_template: t.Optional[str]
    nics: t.Tuple[NicOverride, ...]
    osparams_private: t.Mapping[str, str]
    compress: str
    ciphers: t.Tuple[str, ...]
    lanes: t.Optional[int]
    verify: str
    source_after: str
    start: str
    data_network: str
    data_port: int
    opportunistic_tries: int
    opportunistic_delay: float
    lock_timeout: float
    job_timeout: float
    shutdown_timeout: int
    stall_timeout: float
    journal_directory: str

    @property
    def checksum(self) -> str:
        """The checksum of blocks that fits the way of verification."""
        return {"stream": "crc32", "readback": "sha256"}[self.verify]


def parse(params: t.Mapping[str, t.Any]) -> Options:
    """Make options of a module's parameters; raise InvalidInput, naming every problem there is."""
    problems = [problem for problem in _problems(params) if problem]
    if problems:
        raise InvalidInput(" ".join(problems))
    values = {field: params[field] for field in Options._fields if field in params}
    values.update(
        destination_name=params["destination_name"] or params["name"],
        destination=params["destination"] or params["source"],
        nics=tuple(_override(nic) for nic in params["nics"] or ()),
        osparams_private=params["osparams_private"] or {},
        ciphers=tuple(params["ciphers"] or ()),
    )
    return Options(**values)


def _override(nic: t.Mapping[str, t.Any]) -> NicOverride:
    return NicOverride(number=nic["index"], **{field: nic[field] for field in NicOverride._fields[1:]})


def _problems(params: t.Mapping[str, t.Any]) -> t.Iterator[t.Optional[str]]:
    for option in ("name", "destination_name", "primary_node"):
        yield _host_name(option, params[option])
    if not valid_name(params["compress"]):
        yield (
            f"{params['compress']!r} is not a name of a compression tool: use letters, digits, dashes and underscores, "
            "no dash in front. Tools take no parameters here; name a variant with a script of its own."
        )
    yield from _cipher_names(params["ciphers"] or ())
    yield lanes_problem(params["lanes"])
    if not 0 <= params["data_port"] <= 65535:
        yield f"data_port is {params['data_port']}: use a port, or 0 for any that is free."
    indexes = [nic["index"] for nic in params["nics"] or ()]
    if len(set(indexes)) != len(indexes):
        yield "nics names the same index twice."
    if params["opportunistic_tries"] and params["primary_node"]:
        yield "opportunistic_tries needs an iallocator, but primary_node is given."


def lanes_problem(lanes: t.Optional[int]) -> t.Optional[str]:
    """What is wrong with a number of lanes, if anything is."""
    return None if lanes is None or 1 <= lanes <= _MOST_LANES else f"lanes is {lanes}: use 1 to {_MOST_LANES}."


def _cipher_names(ciphers: t.Sequence[str]) -> t.Iterator[str]:
    """Nothing that means anything to OpenSSL beyond a name gets any further; whether it is one, the nodes tell."""
    for name in ciphers:
        if not _CIPHER.match(name):
            yield f"{name!r} in ciphers is not a name of a cipher: use one name an item, without rules, options and separators."
    if len(set(ciphers)) != len(ciphers):
        yield "ciphers names the same cipher twice."


def _host_name(option: str, value: t.Optional[str]) -> t.Optional[str]:
    if value is None or (len(value) <= 255 and _HOST_NAME.match(value)):
        return None
    return f"{option} is {value!r}, which is not a host name in lower case."


def uses_tool(options: Options) -> bool:
    """Whether data goes through a compression tool that the user named."""
    return options.compress not in (NONE, AUTO)
