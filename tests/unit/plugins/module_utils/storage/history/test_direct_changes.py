# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a direct write makes of a configuration: just the parts that were asked for, what Ganeti counts, and no reference that leads nowhere."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.documents import CONTAINERS
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.history import direct_changes

from ..samples import GROUP, INSTANCE, NODE, configuration

FILTER = "f1"
NETWORK = {"uuid": "n1", "name": "lan", "reservations": "0110", "ext_reservations": "1001", "serial_no": 3, "mtime": 1.0, "ctime": 0.5}


def whole():
    """A configuration with an object of each kind, and references that lead somewhere."""
    result = configuration(20, filters={FILTER: {"uuid": FILTER, "priority": 1, "action": "ACCEPT"}}, networks={"n1": copy.deepcopy(NETWORK)})
    result["cluster"].update(uuid="c", serial_no=5, mtime=1.0, master_node=NODE, zeroing_image="http://x", ipolicy={"std": 1})
    result["nodes"][NODE]["group"] = GROUP
    result["nodegroups"][GROUP].update(networks={"n1": {}}, serial_no=1, mtime=0.0)
    result["instances"][INSTANCE].update(primary_node=NODE, nics=[{"network": "n1"}, {"network": None}, {}])
    return result


def without(given_configuration, kind, identity, parts):
    """The configuration without the parts that may differ."""
    result = copy.deepcopy(given_configuration)
    target = direct_changes.find(result, kind, identity)
    for each in (*parts, "serial_no", "mtime"):
        target.pop(each, None)
    for each in ("serial_no", "mtime"):
        result.pop(each)
    return result


IDENTITIES = {"cluster": "c", "node": NODE, "nodegroup": GROUP, "instance": INSTANCE, "network": "n1", "filter": FILTER}


@given(st.data())
def test_nothing_but_the_parts_and_the_counts_change(data):
    kind = data.draw(st.sampled_from(sorted(direct_changes.DIRECT)))
    parts = data.draw(st.sets(st.sampled_from(sorted(direct_changes.DIRECT[kind])))) if direct_changes.DIRECT[kind] else set()
    then = {part: data.draw(st.integers()) for part in sorted(parts) if data.draw(st.booleans())}
    before = whole()
    kept = copy.deepcopy(before)
    after = direct_changes.amend(before, kind, IDENTITIES[kind], then, parts, 99.0)
    assert before == kept, "what was given stays as it is"
    assert without(after, kind, IDENTITIES[kind], parts) == without(before, kind, IDENTITIES[kind], parts)
    old, new = (direct_changes.find(each, kind, IDENTITIES[kind]) for each in (before, after))
    assert {part: new[part] for part in parts if part in new} == then
    assert (after["serial_no"], after["mtime"]) == (21, 99.0)
    assert new.get("serial_no") == (old["serial_no"] + 1 if "serial_no" in old else None)
    assert direct_changes.problems(after) == [] == direct_changes.problems(before)


@pytest.mark.parametrize("part", ["uuid", "name", "serial_no", "primary_node", "nics"])
def test_other_parts_are_never_written(part):
    with pytest.raises(ValueError, match=f"{part} of a instance is never written directly"):
        direct_changes.amend(whole(), "instance", INSTANCE, {part: 1}, [part], 1.0)
    with pytest.raises(ValueError, match="there is no node n9"):
        direct_changes.amend(whole(), "node", "n9", {}, [], 1.0)


def test_a_removed_network_comes_back_without_what_instances_had_of_it():
    before = whole()
    before["instances"][INSTANCE]["nics"] = []
    before["nodegroups"][GROUP]["networks"] = {}
    then = before["networks"].pop("n1")
    after = direct_changes.restore(before, "network", "n1", then, 99.0)
    assert after["networks"] == {"n1": {**NETWORK, "reservations": "0000", "serial_no": 4, "mtime": 99.0}} and direct_changes.problems(after) == []
    assert before["networks"] == {}
    for kind in set(IDENTITIES) - set(direct_changes.RESTORABLE):
        with pytest.raises(ValueError, match=f"no {kind} is ever brought back"):
            direct_changes.restore(before, kind, "x", {}, 1.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found["networks"].clear(), ["a network of node group default would be n1", "a network of instance inst1.lab.example would be n1"]),
        (lambda found: found["nodegroups"].clear(), [f"the group of node a1.lab.example would be {GROUP}"]),
        (lambda found: found["disks"].clear(), ["a disk of instance inst1.lab.example would be"]),
        (lambda found: found["nodes"].clear(), [f"the cluster's master would be {NODE}", "the primary node of instance inst1.lab.example would be"]),
        (lambda found: found["networks"].update(n2={**NETWORK, "uuid": "n2"}), ["there would be several networks named lan"]),
        (lambda found: found["networks"].update(n2={**NETWORK, "name": "wan"}), ["n2 in networks would have the UUID n1"]),
    ],
)
def test_references_that_lead_nowhere_are_found(change, words):
    broken = whole()
    change(broken)
    found = direct_changes.problems(broken)
    assert len(found) == len(words) and all(each.startswith(word) for each, word in zip(found, words)), found


def test_every_kind_is_found():
    assert {direct_changes._CONTAINER[kind] for kind in direct_changes.DIRECT if kind != "cluster"} < set(CONTAINERS)
    assert all(direct_changes.find(whole(), kind, identity) is not None for kind, identity in IDENTITIES.items())
    assert direct_changes.find(whole(), "filter", "no") is None
