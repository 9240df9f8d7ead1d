# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real etcd for the session, and storages in it, each of a cluster of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import types
import typing as t
import uuid
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[2]
for _name, _path in (("", []), (".ganeti", []), (".ganeti.cluster", [str(ROOT)])):
    _module = types.ModuleType(f"ansible_collections{_name}")
    _module.__path__ = _path  # makes the collection importable from its source tree
    sys.modules.setdefault(_module.__name__, _module)

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage  # noqa: E402
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.client import Client  # noqa: E402
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.endpoints import Access  # noqa: E402
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.storage import EtcdStorage  # noqa: E402

from .authority import Authority  # noqa: E402
from .launch import Etcd  # noqa: E402
from .samples import PASSWORD, mine  # noqa: E402

hypothesis.settings.register_profile("unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("unhurried")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The last lines of the output say what was tested with."""
    program = shutil.which("etcd")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0] if program else "none is here"
    terminalreporter.write_line(f"etcd: {said}")


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Etcd]:
    """An etcd of one member, which no test may kill."""
    started = Etcd(tmp_path_factory.mktemp("etcd"), 1)
    yield started
    started.stop()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs servers and clients."""
    return Authority(tmp_path_factory.mktemp("tls"), "authority")


@pytest.fixture(scope="session")
def closed(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Etcd]:
    """An etcd with users: root, ganeti who may do what is below ganeti/, and guest who may do nothing."""
    certificate, key = authority.signed("other")
    started = Etcd(tmp_path_factory.mktemp("closed"), 1, [f"--cert-file={certificate}", f"--key-file={key}"])
    with Client(Access(started.urls, ca_path=authority.path)) as client:
        client.ask("/v3/auth/role/add", {"name": "root"})
        client.ask("/v3/auth/role/add", {"name": "ganeti"})
        everything = {"permType": "READWRITE", "key": "Z2FuZXRpLw==", "range_end": "Z2FuZXRpMA=="}  # ganeti/ up to ganeti0
        client.ask("/v3/auth/role/grant", {"name": "ganeti", "perm": everything})
        for name in ("root", "ganeti", "guest"):
            client.ask("/v3/auth/user/add", {"name": name, "password": PASSWORD})
        for name in ("root", "ganeti"):
            client.ask("/v3/auth/user/grant", {"user": name, "role": name})
        client.ask("/v3/auth/enable", {})
    yield started
    started.stop()


@pytest.fixture
def cluster() -> str:
    """The UUID of a cluster that nobody else uses."""
    return str(uuid.uuid4())


@pytest.fixture
def client(etcd: Etcd) -> t.Iterator[Client]:
    """A client of that etcd."""
    with Client(Access(etcd.urls)) as made:
        yield made


@pytest.fixture
def open_storage(etcd: Etcd, cluster: str) -> t.Iterator[t.Callable[[], EtcdStorage]]:
    """Opens storages of the same cluster, as several processes would."""
    opened: t.List[EtcdStorage] = []

    def make() -> EtcdStorage:
        opened.append(EtcdStorage(Client(Access(etcd.urls)), cluster))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


@pytest.fixture
def storage(open_storage: t.Callable[[], EtcdStorage]) -> EtcdStorage:
    """An empty storage that node a1 may write to, in epoch 1."""
    made = open_storage()
    made.claim(mine(1, "a1"))
    return made


@pytest.fixture
def disk(tmp_path: Path) -> DiskStorage:
    """A node's files, of which there are none yet."""
    (tmp_path / "node/queue/archive").mkdir(parents=True)
    return DiskStorage(str(tmp_path / "node"), durable=False)


@pytest.fixture(scope="session")
def open_storage_anew(etcd: Etcd) -> t.Iterator[t.Callable[[], EtcdStorage]]:
    """Opens storages of a new cluster each time."""
    opened: t.List[EtcdStorage] = []

    def make() -> EtcdStorage:
        opened.append(EtcdStorage(Client(Access(etcd.urls)), str(uuid.uuid4())))
        opened[-1].claim(mine(1, "a1"))
        return opened[-1]

    yield make
    for each in opened:
        each.close()
