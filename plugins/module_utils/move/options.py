# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a user asks of a move, with names that are safe to pass on."""

from __future__ import annotations

import re
import typing as t

from .._errors import InvalidInput
from ..api import naming
from ..compression.choose import AUTO
from ..stream.tools import NO_TOOL, is_valid_name
from ..zeroing import choose
from ..zeroing import options as zeroing
from ..zeroing.stage import Settings

_CIPHER = re.compile(r"[A-Za-z0-9][-_A-Za-z0-9]*\Z")
_MOST_LANES = 32
_NAMES = ("name", "destination_name", "primary_node", "secondary_node")
_BROUGHT_BY_NETWORK = ("mode", "link", "vlan")
_NO_NUMBER = -1


class NicOverride(t.NamedTuple):
    """What changes about the interface *number*; None keeps what the source has."""

    number: int
    mac: str
    ip: t.Optional[str]
    mode: t.Optional[str]
    link: t.Optional[str]
    vlan: t.Optional[str]
    network: t.Optional[str]


class NicRule(t.NamedTuple):
    """What changes about every interface that has all values of *match*."""

    match: t.Mapping[str, str]
    change: NicOverride


class Options(t.NamedTuple):
    """The options of a move; times in seconds. See the module's documentation for their meaning."""

    name: str
    state: str
    destination_name: str
    source: t.Mapping[str, t.Any]
    destination: t.Mapping[str, t.Any]
    primary_node: t.Optional[str]
    secondary_node: t.Optional[str]
    iallocator: t.Optional[str]
    disk_template: t.Optional[str]
    ext_params: t.Mapping[str, str]
    nics: t.Tuple[NicOverride, ...]
    nic_map: t.Tuple[NicRule, ...]
    hvparams: t.Mapping[str, t.Any]
    ignore_ipolicy: bool
    osparams_private: t.Mapping[str, str]
    compress: str
    ciphers: t.Tuple[str, ...]
    lanes: t.Optional[int]
    skip_free_space: bool
    zero_free_space: str
    zeroing: Settings
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
    def nodes(self) -> t.Dict[str, str]:
        """The nodes of the destination that the user names, by option."""
        named = {"primary_node": self.primary_node, "secondary_node": self.secondary_node}
        return {option: name for option, name in named.items() if name}

    @property
    def checksum(self) -> str:
        """The checksum of blocks that fits the way of verification."""
        return {"stream": "crc32", "readback": "sha256"}[self.verify]


def parse(params: t.Mapping[str, t.Any]) -> Options:
    """Make options of a module's parameters; raise InvalidInput, naming every problem there is."""
    params = {**params, **{option: naming.normal(params[option]) for option in _NAMES if params[option] is not None}}
    problems = [problem for problem in _problems(params) if problem]
    if problems:
        raise InvalidInput(" ".join(problems))
    values = {field: params[field] for field in Options._fields if field in params}
    values.update(
        destination_name=params["destination_name"] or params["name"],
        destination=params["destination"] or params["source"],
        nics=tuple(_override(nic, nic["index"]) for nic in params["nics"] or ()),
        nic_map=tuple(_rule(entry) for entry in params["nic_map"] or ()),
        ext_params={name: str(value) for name, value in (params["ext_params"] or {}).items()},
        hvparams=params["hvparams"] or {},
        osparams_private=params["osparams_private"] or {},
        ciphers=tuple(params["ciphers"] or ()),
        zeroing=zeroing.settings(params, "zeroing_"),
    )
    return Options(**values)


def _override(nic: t.Mapping[str, t.Any], number: int) -> NicOverride:
    values: t.Dict[str, t.Any] = {field: nic.get(field) for field in NicOverride._fields[1:]}
    return NicOverride(number=number, **values)


def _rule(entry: t.Mapping[str, t.Any]) -> NicRule:
    match = {field: value for field, value in entry["match"].items() if value is not None}
    return NicRule(match, _override(entry["set"], _NO_NUMBER))


def _problems(params: t.Mapping[str, t.Any]) -> t.Iterator[t.Optional[str]]:
    for option in _NAMES:
        yield None if params[option] is None else naming.problem(option, params[option])
    if not is_valid_name(params["compress"]):
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
    yield from _nic_problems(params)
    yield from _node_problems(params)
    yield from _zeroing_problems(params)
    if params["opportunistic_tries"] and params["primary_node"]:
        yield "opportunistic_tries needs an iallocator, but primary_node is given."


def _nic_problems(params: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    entries = [(f"nics, interface {nic['index']}", nic) for nic in params["nics"] or ()]
    entries += [(f"nic_map, entry {number}", entry["set"]) for number, entry in enumerate(params["nic_map"] or ())]
    for where, entry in entries:
        given = [field for field in _BROUGHT_BY_NETWORK if entry.get(field) is not None]
        if entry.get("network") not in (None, "none") and given:
            yield f"{where}: a network brings mode, link and VLAN along, so {' and '.join(given)} cannot be set beside it."
    for number, entry in enumerate(params["nic_map"] or ()):
        if all(value is None for value in entry["match"].values()):
            yield f"nic_map, entry {number}: match is empty: name the link, network, VLAN or mode of the interfaces that it is for."


def _node_problems(params: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    if params["secondary_node"] and not params["primary_node"]:
        yield "secondary_node needs primary_node: an allocator chooses both or none."
    if params["secondary_node"] and params["secondary_node"] == params["primary_node"]:
        yield "secondary_node is the primary node: choose another."


def _zeroing_problems(params: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    yield from zeroing.problems(params, "zeroing_")
    if params["zero_free_space"] == choose.YES and params["source"].get("transport") == "rapi":
        yield "The remote API cannot start the zeroing helper: set source.transport to ssh, or leave zero_free_space out."


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


def uses_tool(options: Options) -> bool:
    """Whether data goes through a compression tool that the user named."""
    return options.compress not in (NO_TOOL, AUTO)
