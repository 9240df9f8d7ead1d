# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the soak's nodes store in: a CouchDB for each, real or the stand-in, or three members of an etcd; with a wire from each node to each server, and between
an etcd's members."""

from __future__ import annotations

import abc
import functools
import os
import signal
import typing as t
import uuid
from pathlib import Path

from couchdb.launch import StandIn, Started
from couchdb.release import Release
from etcd.launch import Etcd, Member

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client, Server
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.storage import CouchStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.documents import Json
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.client import Client as EtcdClient
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.endpoints import Access
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.storage import EtcdStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.interface import Storage

from .wires import Wire, Wires

_PATIENCE = 20.0
_AS_THE_ROLE = ("--heartbeat-interval=100", "--election-timeout=1000")
"""What the role `etcd` sets, and not the haste of tests: on a machine that is busy, members would think each other gone."""


class OneServer(t.Protocol):
    """A server that can be treated badly."""

    directory: Path

    def kill(self) -> None:
        """End it without a chance to write anything."""

    def start(self) -> None:
        """Start it again."""

    def pause(self) -> None:
        """Have it stand still."""

    def resume(self) -> None:
        """Have it go on."""

    def ended(self) -> bool:
        """Whether it has ended by itself."""


class Databases(abc.ABC):
    """A server for each of the nodes, by the nodes' names."""

    name: str
    copies: bool
    """Whether each server has copies of its own, which the master looks after."""
    real: bool
    """Whether it is what administrators run."""

    def __init__(self) -> None:
        self.servers: t.Dict[str, OneServer] = {}
        self._wires = Wires()
        self.wires: t.Dict[t.Tuple[str, str], Wire] = {}
        """From which node, to whose server."""
        self.between: t.Dict[t.Tuple[str, str], Wire] = {}
        """From whose server, to whose server, where servers speak with each other by themselves: what each has to say, it says over both of two wires."""

    def _lay(self, ports: t.Mapping[str, int]) -> None:
        self.wires = {(one, other): self._wires.make(port) for one in ports for other, port in ports.items()}

    @abc.abstractmethod
    def settings(self, node: str) -> Json:
        """What the service of a node has to know of them."""

    @abc.abstractmethod
    def storage(self, node: str) -> Storage:
        """What is on a node's server, as the administrator sees it, without a wire between."""

    def revive(self) -> None:
        """Start again what has ended by itself, as one does for which there was no room on its disk: systemd does so."""
        for server in self.servers.values():
            if server.ended():
                server.kill()
                server.start()

    def close(self) -> None:
        """End all."""
        for server in self.servers.values():
            server.kill()
        self._wires.close()


class _Watched(Started):
    """A server of which it is known whether it should run."""

    _wanted = True

    def kill(self) -> None:
        """End it without a chance to write anything."""
        self._wanted = False
        if self.process.poll() is None:
            super().kill()

    def start(self) -> None:
        """Start it; it answers when this returns."""
        super().start()
        self._wanted = True

    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._wanted and self.process.poll() is not None


class OneStandIn(_Watched, StandIn):
    """The stand-in, as one of these."""


class OneRelease(_Watched, Release):
    """Real CouchDB, as one of these."""


class CouchDatabases(Databases):
    """A CouchDB on each node, each with all of it."""

    copies = True

    def __init__(self, directories: t.Mapping[str, Path], release: str) -> None:
        super().__init__()
        self.real = bool(release)
        self.name = "CouchDB" if release else "the stand-in for CouchDB"
        self._made = {name: OneRelease(place, Path(release)) if release else OneStandIn(place, volatile=True) for name, place in directories.items()}
        self.servers.update(self._made)
        self._lay({name: each.port for name, each in self._made.items()})
        for name in directories:
            storage = self.storage(name)
            storage.prepare()
            storage.close()

    def settings(self, node: str) -> Json:
        urls = {name: f"http://127.0.0.1:{self.wires[node, name].port}" for name in self._made}
        servers = {name: {"url": urls[name], "username": "admin", "password": each.password} for name, each in self._made.items()}
        return {"servers": servers, "prefix": ""}

    def storage(self, node: str) -> CouchStorage:
        found = self._made[node]
        return CouchStorage(Client(Server(f"http://127.0.0.1:{found.port}", "admin", found.password), _PATIENCE))


class OneMember:
    """A member of an etcd, as one of these."""

    def __init__(self, etcd: Etcd, member: Member) -> None:
        self._etcd, self._member = etcd, member
        self.directory = member.directory

    def kill(self) -> None:
        """End it without a chance to write anything."""
        self._etcd.kill(self._member)

    def start(self) -> None:
        """Start it; it serves when this returns."""
        self._etcd.start(self._member)

    def pause(self) -> None:
        """Have it stand still."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        if self._member.process is not None:
            self._member.process.send_signal(number)

    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._member.process is not None and self._member.process.poll() is not None  # there is none where it was killed here


class EtcdDatabases(Databases):
    """An etcd of three members, in which all is once."""

    name, copies, real = "etcd", False, True

    def __init__(self, directories: t.Mapping[str, Path]) -> None:
        super().__init__()
        place = next(iter(directories.values())).parent.parent / "etcd"
        self._etcd = Etcd(place, len(directories), options=_AS_THE_ROLE, between=lambda members: self._lay_between(dict(zip(directories, members))))
        self._cluster = str(uuid.uuid4())
        self.servers.update({name: OneMember(self._etcd, member) for name, member in zip(directories, self._etcd.members)})
        self._lay({name: member.port for name, member in zip(directories, self._etcd.members)})

    def _lay_between(self, members: t.Mapping[str, Member]) -> t.List[int]:
        """Have all come to a member by one port, as etcd gives all of them the same address of it; who comes is seen by whose process has the socket."""
        self.between = {(one, other): self._wires.lay(members[other].peer_port) for one in members for other in members if one != other}

        def choose(name: str, is_process: t.Callable[[int], bool]) -> t.Optional[Wire]:
            found = (one for one, each in members.items() if each.process is not None and is_process(each.process.pid))
            return self.between.get((next(found, name), name))  # nobody, where it has ended since: none comes to itself

        return [self._wires.join(functools.partial(choose, name)).port for name in members]

    def settings(self, node: str) -> Json:
        urls = [f"http://127.0.0.1:{wire.port}" for (one, _other), wire in self.wires.items() if one == node]
        return {"storage": "etcd", "endpoints": urls, "cluster": self._cluster}

    def storage(self, node: str) -> EtcdStorage:
        return EtcdStorage(EtcdClient(Access(self._etcd.urls)), self._cluster)


def databases(storage: str, directories: t.Mapping[str, Path]) -> Databases:
    """Those of a name, as the environment has them."""
    return EtcdDatabases(directories) if storage == "etcd" else CouchDatabases(directories, os.environ.get("COUCHDB_RELEASE", ""))
