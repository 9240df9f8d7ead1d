# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Where a cluster's database is, by a module's options: what its driver has to know, and which nodes have the service. Decisions alone."""

from __future__ import annotations

import os
import re
import typing as t

from ..._errors import InvalidInput

Described = t.Mapping[str, t.Any]
_SERVER = ("url", "username", "password", "ca_path")
"""What a server of CouchDB is told by, beside its node."""
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?\Z")
_FILES = ("ca_path", "cert_path", "key_path")
"""What has to be on every node, at the same place."""


class Facts(t.NamedTuple):
    """What Ganeti tells of a cluster."""

    uuid: str
    master: str
    nodes: t.FrozenSet[str]
    online: t.FrozenSet[str]
    capable: t.FrozenSet[str]
    """Those that may become the master."""


class Place(t.NamedTuple):
    """Where the database is."""

    options: t.Dict[str, t.Any]
    """What the driver has to know."""
    nodes: t.List[str]
    """The nodes that have the service, all of them online."""
    offline: t.List[str]
    """Those that should have it, and are offline."""
    settings: t.Dict[str, t.Any]
    """What the service's settings say of it: the options and, where these do not name the nodes, their names."""
    lone: str
    """What to say where `primary` would leave the master's copy alone."""
    outside: t.FrozenSet[str] = frozenset()
    """Servers that are of no node, by their names: they hold copies, and nobody becomes the master from one."""

    @property
    def warnings(self) -> t.List[str]:
        """A word about each node with which nothing was done."""
        return [f"{name} is offline, so nothing was done there: run this again when it is back." for name in self.offline]


def place(params: t.Mapping[str, t.Any], facts: Facts) -> Place:
    """The place that a module's parameters name. Raises InvalidInput."""
    strange = [option for storage, option in OPTIONS.items() if storage != params["storage"] and params[option]]
    if strange:
        raise InvalidInput(f"{', '.join(strange)} is no option of the storage {params['storage']}, which takes {OPTIONS[params['storage']]}: leave it out.")
    return _PLACES[params["storage"]](params, facts)


def _couchdb(params: t.Mapping[str, t.Any], facts: Facts) -> Place:
    """A server of each node that is named; those of nodes that are online have to answer, and so have those of no node."""
    named, outside = _servers(params["servers"], facts), _outside(params["servers"], facts)
    servers = {name: server for name, server in named.items() if name in facts.online | outside}
    nodes = sorted(servers.keys() - outside)
    options: t.Dict[str, t.Any] = {"servers": servers}
    settings = {**options, "nodes": nodes} if outside else options
    return Place(options, nodes, sorted(named.keys() - servers.keys()), settings, "the server of a second node that is online", outside)


def _outside(given: t.Sequence[Described], facts: Facts) -> t.FrozenSet[str]:
    """The names of servers that are of no node."""
    found = frozenset(each["node"] for each in given if each.get("outside"))
    unfit = sorted(name for name in found if not _NAME.match(name))
    if unfit:
        raise InvalidInput(f"servers names {', '.join(map(repr, unfit))}, which is no name of a host: give the server outside one of letters, digits, dots.")
    strange = sorted(found & facts.nodes)
    if strange:
        raise InvalidInput(f"servers says that {', '.join(strange)} is outside, and it is a node of this cluster: leave outside out, or name it otherwise.")
    return found


def _servers(given: t.Sequence[Described], facts: Facts) -> t.Dict[str, Described]:
    """The servers by the names of their nodes, the master's among them."""
    servers: t.Dict[str, Described] = {each["node"]: {key: each[key] for key in _SERVER} for each in given}
    if len(servers) != len(given):
        raise InvalidInput("servers names the same node twice.")
    if facts.master not in servers:
        raise InvalidInput(f"servers does not name the one of the master, {facts.master}: the service on the master writes to it.")
    strange = sorted(each["node"] for each in given if each["node"] not in facts.nodes and not each.get("outside"))
    if strange:
        known = f"its nodes are {', '.join(sorted(facts.nodes))}"
        raise InvalidInput(f"servers names {', '.join(strange)}, which is no node of this cluster: {known}. A server of no node is to say outside.")
    return servers


def _etcd(params: t.Mapping[str, t.Any], facts: Facts) -> Place:
    """Its members are the same for each node, be they on nodes or elsewhere. Whoever may become the master has the service, and nobody else the password."""
    access = {key: value for key, value in params["etcd"].items() if value is not None}
    relative = sorted(f"{name}: {access[name]}" for name in _FILES if name in access and not os.path.isabs(access[name]))
    if relative:
        raise InvalidInput(f"{', '.join(relative)} is relative to nothing that a service knows: name it from the root on, as it is on every node.")
    options = {**access, "cluster": facts.uuid}
    nodes = sorted(facts.capable & facts.online)
    return Place(options, nodes, sorted(facts.capable - facts.online), {**options, "nodes": nodes}, "the endpoint of a second member")


OPTIONS: t.Mapping[str, str] = {"couchdb": "servers", "etcd": "etcd"}
"""By which option each database is found, by the names of the drivers."""
_PLACES: t.Mapping[str, t.Callable[[t.Mapping[str, t.Any], Facts], Place]] = {"couchdb": _couchdb, "etcd": _etcd}
