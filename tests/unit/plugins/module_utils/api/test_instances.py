# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Instances in the form that modules tell them in. What Ganeti really answers is tested on the lab."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError, InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils.api import claims, cluster_parameters, instance_facts, instances
from ansible_collections.ganeti.cluster.plugins.module_utils.api.instances import FIELDS, Hidden, describe

ID = "0123456789abcdef"
PARAMS = {"transport": "rapi", "address": "alpha", "cluster_name": None, "ssh": {}, "rapi": {}, "name": None, "filter": None, "fields": []}


def row(name: str = "web1.example.com", **changes: t.Any) -> dict[str, t.Any]:
    """An instance as a query tells it."""
    found = dict.fromkeys(FIELDS)
    found.update({
        "name": name, "uuid": f"uuid-of-{name}", "oper_state": True, "admin_state": "up", "tags": ["b", "a"],
        "beparams": {"vcpus": 1, "minmem": 128}, "custom_beparams": {"vcpus": 1},
        "disk.names": [None, "data"], "disk.uuids": ["d0", "d1"], "disk.sizes": [256, 512], "disk.spindles": [None, None],
        "nic.names": [None], "nic.uuids": ["n0"], "nic.macs": ["aa:00:00:00:00:01"], "nic.ips": [None], "nic.modes": ["bridged"], "nic.links": ["br0"],
        "nic.vlans": [None], "nic.networks.names": [None], "custom_nicparams": [{"link": "br0"}],
    })  # fmt: skip
    return {**found, **changes}


def test_what_is_own_and_what_is_in_effect() -> None:
    found = describe(row())
    assert found["beparams"] == {"own": {"vcpus": 1}, "effective": {"vcpus": 1, "minmem": 128}}
    assert found["osparams"] == {"own": {}, "effective": {}} and found["tags"] == ["a", "b"] and found["secondary_nodes"] == []
    (nic,) = found["nics"]
    assert (nic["index"], nic["mac"], nic["own"]) == (0, "aa:00:00:00:00:01", {"link": "br0"})


def test_what_is_not_known_is_none() -> None:
    found = describe(row(oper_state=None))
    assert found["oper_state"] is None and found["disks"][1] == {
        "index": 1, "name": "data", "uuid": "d1", "size": 512, "spindles": None, "mode": None, "access": None,
    }  # fmt: skip
    known = describe(row(), Hidden({"d0": {"mode": "ro", "access": None}}, None))
    assert [disk["mode"] for disk in known["disks"]] == ["ro", None]
    assert describe(row(**{field: [] for field in FIELDS if field.startswith(("disk.", "nic."))}, custom_nicparams=[]))["disks"] == []


class Here:
    """Runs a master's command on this host, with another file for the configuration."""

    def __init__(self, path: t.Any) -> None:
        self.path = path

    def run(self, argv: t.Sequence[str], input: t.Optional[bytes] = None, timeout: float = 10) -> tuple[int, bytes, bytes]:
        script = argv[2].replace("/var/lib/ganeti/config.data", str(self.path))
        done = subprocess.run([sys.executable, "-c", script, *argv[3:]], input=input, capture_output=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def close(self) -> None:
        pass


def test_the_configuration_file(tmp_path: t.Any) -> None:
    path = tmp_path / "config.data"
    instance = {"disks": ["d0", "d1"], "osparams_private": {"key": "hush"}}
    path.write_text(json.dumps({"instances": {"u1": instance}, "disks": {"d0": {"mode": "rw", "params": {"access": "userspace"}}, "d1": {"mode": "ro"}}}))
    assert instances.hidden(Here(path), ["u1", "gone"]) == {
        "u1": Hidden({"d0": {"mode": "rw", "access": "userspace"}, "d1": {"mode": "ro", "access": None}}, None)
    }
    assert instances.hidden(Here(path), ["u1"], private=True)["u1"].private == {"key": "hush"}
    assert instances.hidden(Here("/nonexistent"), []) == {}
    with pytest.raises(GanetiError, match="Reading Ganeti's configuration failed on the master"):
        instances.hidden(Here("/nonexistent"), ["u1"])


class Told:
    """A cluster that has these instances, whatever it is asked."""

    def __init__(self, *names: str) -> None:
        self.rows = [row(name, disk_usage=7) for name in names]
        self.asked: t.Any = None

    def query(self, what: str, fields: t.Sequence[str], qfilter: t.Any = None) -> list[dict[str, t.Any]]:
        self.asked = (fields, qfilter)
        return self.rows

    def __enter__(self) -> Told:
        return self

    def __exit__(self, *args: object) -> None:
        pass


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> t.Any:
    def ask(cluster: Told, **params: t.Any) -> dict[str, t.Any]:
        monkeypatch.setattr(cluster_parameters, "connect", lambda options: cluster)
        return instance_facts.tell({**PARAMS, **params})

    return ask


def test_names_filters_and_fields(tell: t.Any) -> None:
    cluster = Told("web1.example.com", f"web1.example.com.{ID}.old")
    result = tell(cluster, name=["WEB1", "gone."], filter=["=", "pnode", "n1"], fields=["disk_usage"])
    assert cluster.asked[1] == ["&", ["|", ["=", "name", "web1"], ["=", "name", "gone"]], ["=", "pnode", "n1"]] and "disk_usage" in cluster.asked[0]
    assert [each["name"] for each in result["instances"]] == ["web1.example.com"] and result["instances"][0]["fields"] == {"disk_usage": 7}
    assert result["missing"] == ["gone"] and result["unreadable"] == ["disks.mode", "disks.access"]
    assert len(tell(cluster)["instances"]) == 2 and cluster.asked[1] is None
    with pytest.raises(InvalidInput, match="name is '../x', which is not a host name"):
        tell(cluster, name=["../x"])
    with pytest.raises(InvalidInput, match="give its name in full"):
        tell(Told("web1.a", "web1.b"), name=["web1"])


def test_one_that_a_move_has_renamed_is_not_the_one_that_had_the_name() -> None:
    cluster = t.cast(t.Any, Told(f"web1.example.com.{ID}.old"))
    assert instances.find(cluster, "web1.example.com") is None
    cluster.rows[0]["tags"] = [f"ganeti-move:{ID}:source:up"]  # the name is nobody's between two renamings
    for asked in ("web1.example.com", "web1"):
        with pytest.raises(GanetiError, match=rf"web1.example.com.{ID}.old takes part in move {ID}.*nothing was changed"):
            instances.find(cluster, asked)
    assert t.cast(t.Any, instances.find(t.cast(t.Any, Told("web1.example.com")), "web1"))["name"] == "web1.example.com"


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ([], None),
        (["mine", "ganeti-moved"], None),
        ([f"ganeti-move:{ID}:moved-to:u2"], None),
        ([f"ganeti-move:{ID}:moved-to:u2", f"ganeti-move:{ID}:restorable"], f"takes part in move {ID}"),
        ([f"ganeti-move:{ID}:source:up"], f"takes part in move {ID}"),
        ([f"ganeti-move:{ID}:destination:u1"], f"takes part in move {ID}"),
        (["ganeti-move:"], "takes part in move"),
        ([f"ganeti-zeroing:{ID}:ready"], f"is being zeroed (zeroing {ID})"),
    ],
)
def test_who_else_works_on_an_instance(tags: list[str], words: t.Optional[str]) -> None:
    assert (claims.under_way(tags) or "").startswith(words or "") and (claims.under_way(tags) is None) == (words is None)


def test_a_source_that_was_moved_away() -> None:
    assert claims.moved_away([f"ganeti-move:{ID}:moved-to:u2"]) == ID and claims.moved_away([f"ganeti-move:{ID}:to:u2", "x"]) is None
    assert claims.ours(["z", f"ganeti-move:{ID}:ready", claims.STOPPED]) == [claims.STOPPED, f"ganeti-move:{ID}:ready"]
