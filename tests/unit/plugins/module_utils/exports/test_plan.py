# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an export needs, what stands against it, and what is asked of Ganeti."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils.exports import ensure
from ansible_collections.ganeti.cluster.plugins.module_utils.exports.plan import (
    Export,
    Facts,
    back,
    export,
    fence,
    is_there,
    lacks,
    problems,
    removal,
    why_not_removed,
)

NAME, NODE, OTHER = "web1.example.com", "node3.example.com", "node4.example.com"
INFO = {"name": "alpha.example.com", "software_version": "3.0.2", "compression_tools": ["gzip"], "volume_group_name": "xenvg", "zeroing_image": "/z.img"}
STOPPED: dict[str, t.Any] = {
    "name": NAME, "uuid": "u-1", "tags": [], "admin_state": "down", "oper_state": False, "disk_template": "plain", "hypervisor": "kvm",
    "hvparams": {"effective": {"user_shutdown": True, "boot_order": "disk"}}, "disks": [{"uuid": "d-1"}],
}  # fmt: skip
RUNS = {**STOPPED, "admin_state": "up", "oper_state": True}
OFFLINE = {**STOPPED, "admin_state": "offline"}
ASKED: dict[str, t.Any] = {
    "state": "present", "replace": False, "compress": "none", "shutdown": False, "shutdown_timeout": 120, "remove_instance": False, "zero_free_space": False,
    "zeroing_by": "helper", "zeroing_timeout_fixed": 300.0, "zeroing_timeout_per_mib": 0.05,
}  # fmt: skip
GANETIS = {"zero_free_space": True, "zeroing_by": "ganeti", "compress": "gzip", "shutdown": True}


def facts(instance: t.Optional[dict[str, t.Any]], *exports: Export, silent: tuple[str, ...] = (), **info: t.Any) -> Facts:
    return Facts(NAME, instance, exports, silent, {**INFO, **info})


@pytest.mark.parametrize(
    ("asked", "found", "there"),
    [
        ({}, facts(STOPPED), False),
        ({}, facts(STOPPED, Export(NAME, NODE)), True),
        ({}, facts(None, Export(NAME, NODE)), True),
        ({}, facts(STOPPED, Export(NAME, OTHER)), False),
        ({"replace": True}, facts(STOPPED, Export(NAME, NODE)), False),
        ({"remove_instance": True}, facts(STOPPED, Export(NAME, NODE)), False),
        ({"remove_instance": True}, facts(None, Export(NAME, NODE)), True),
        ({"state": "absent"}, facts(None), True),
        ({"state": "absent"}, facts(None, silent=(OTHER,)), False),
        ({"state": "absent"}, facts(None, Export(NAME, OTHER)), False),
    ],
)
def test_whether_anything_is_to_be_done(asked: dict[str, t.Any], found: Facts, there: bool) -> None:
    assert is_there({**ASKED, **asked}, found, NODE) is there


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, facts(STOPPED)),
        ({}, facts(RUNS)),
        ({"replace": True}, facts(STOPPED, Export(NAME, OTHER))),
        ({"shutdown": True, "zero_free_space": True, "remove_instance": True, "compress": "gzip"}, facts({**RUNS, "disk_template": "file"})),
        (GANETIS, facts(RUNS)),
        ({"state": "absent"}, facts(None, Export(NAME, NODE))),
    ],
)
def test_nothing_stands_against_it(asked: dict[str, t.Any], found: Facts) -> None:
    assert list(problems({**ASKED, **asked}, found, NODE)) == []


@pytest.mark.parametrize(
    ("asked", "found", "words"),
    [
        ({}, facts(None), f"There is no instance {NAME} on alpha"),
        ({}, facts(STOPPED, Export(NAME, OTHER)), f"has an export on {OTHER}, which Ganeti removes"),
        ({}, facts(STOPPED, silent=(OTHER,)), f"{OTHER} does not tell which exports"),
        ({"state": "absent"}, facts(STOPPED, silent=(OTHER,)), f"{OTHER} does not tell which exports"),
        ({}, facts({**STOPPED, "tags": ["ganeti-move:0123456789abcdef:source:up"]}), "takes part in move 0123456789abcdef"),
        ({}, facts(STOPPED, software_version="3.1.0~rc2"), "Ganeti 3.1.0~rc2 cannot export"),
        ({"remove_instance": True}, facts(OFFLINE, Export(NAME, NODE)), "as a run leaves it that died before it had removed the instance. Set replace"),
        ({"state": "absent"}, facts(None, Export(NAME, NODE))._replace(longer=(f"{NAME}.0123.old",)), f"take {NAME} for {NAME}.0123.old"),
        ({"compress": "lzop"}, facts(STOPPED), "lzop is not in the cluster's compression_tools (gzip)"),
        ({}, facts({**RUNS, "disk_template": "file"}), "disks of the template file have no snapshots"),
        ({}, facts({**STOPPED, "oper_state": None, "disk_template": "sharedfile"}), "disks of the template sharedfile have no snapshots"),
        ({"zero_free_space": True}, facts(RUNS), "runs, or is to run: set shutdown"),
        ({"remove_instance": True}, facts(RUNS), "is to be removed: set shutdown"),
        (GANETIS, facts(STOPPED, volume_group_name=None), "needs LVM"),
        (GANETIS, facts({**STOPPED, "hvparams": {"effective": {"boot_order": "disk"}}}), "needs the hypervisor parameter user_shutdown"),
        (GANETIS, facts({**STOPPED, "hvparams": {"effective": {"user_shutdown": True, "boot_order": "network"}}}), "has the boot_order network"),
        (GANETIS, facts(STOPPED, zeroing_image=""), "needs the cluster's parameter zeroing_image"),
        (GANETIS, facts(STOPPED, zeroing_image="http://x/z.img"), "cannot load the zeroing_image http://x/z.img"),
        ({**GANETIS, "compress": "none"}, facts(STOPPED), "only for an export that is compressed"),
        ({**GANETIS, "shutdown": False}, facts(STOPPED), "that it may shut down: set shutdown"),
    ],
)
def test_what_stands_against_it(asked: dict[str, t.Any], found: Facts, words: str) -> None:
    (said,) = problems({**ASKED, **asked}, found, NODE)
    assert words in said


def test_an_instance_is_stopped_only_if_it_runs_and_may_then_stay_down_for_the_copy() -> None:
    stopped, running = (export({**ASKED, "shutdown": True}, facts(each), NODE) for each in (STOPPED, RUNS))
    assert (stopped["shutdown"], stopped["long_sleep"]) == (False, False)
    assert (running["shutdown"], running["long_sleep"], running["target_node"], running["mode"]) == (True, True, NODE, "local")
    live = export(ASKED, facts(RUNS), NODE)
    assert (live["shutdown"], live["long_sleep"]) == (False, False) and "zero_free_space" not in live and "remove_instance" not in live
    zeroed = export({**ASKED, **GANETIS}, facts(STOPPED), NODE)
    assert (zeroed["zero_free_space"], zeroed["shutdown"], zeroed["zeroing_timeout_fixed"], zeroed["zeroing_timeout_per_mib"]) == (True, True, 300, 0.05)


def ids(opcodes: t.Sequence[t.Mapping[str, t.Any]]) -> list[t.Any]:
    return [(op["OP_ID"][12:], op["offline"]) if "offline" in op else op["OP_ID"][12:] for op in opcodes]


@pytest.mark.parametrize(
    ("found", "done"), [(RUNS, ["SHUTDOWN", ("SET_PARAMS", True)]), (STOPPED, [("SET_PARAMS", True)]), (OFFLINE, [])], ids=["runs", "stopped", "offline"]
)
def test_what_is_to_be_removed_is_stopped_and_fenced_before_it_is_exported(found: dict[str, t.Any], done: list[t.Any]) -> None:
    asked = {**ASKED, "shutdown": True, "remove_instance": True}
    assert ids(fence(facts(found), asked)) == done
    assert export(asked, facts(found), NODE)["shutdown"] is False


@pytest.mark.parametrize(
    ("before", "now", "stopped", "fenced", "done"),
    [
        (RUNS, {**RUNS, "oper_state": False}, False, False, ["STARTUP"]),
        (RUNS, STOPPED, False, False, []),
        (RUNS, RUNS, False, False, []),
        (RUNS, {**RUNS, "oper_state": None}, False, False, []),
        (RUNS, OFFLINE, True, True, [("SET_PARAMS", False), "STARTUP"]),
        (RUNS, OFFLINE, True, False, []),
        (RUNS, STOPPED, True, False, ["STARTUP"]),
        (STOPPED, OFFLINE, True, True, [("SET_PARAMS", False)]),
        (OFFLINE, OFFLINE, True, False, []),
        (STOPPED, STOPPED, True, False, []),
    ],
)
def test_an_instance_is_brought_back_where_the_export_fails_unless_another_has_marked_it_offline(
    before: dict[str, t.Any], now: dict[str, t.Any], stopped: bool, fenced: bool, done: list[t.Any]
) -> None:
    assert ids(back(before, now, stopped, fenced)) == done


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (OFFLINE, None),
        (None, "is not there any more"),
        (STOPPED, "is not marked offline any more"),
        (RUNS, "is not marked offline any more"),
        ({**OFFLINE, "oper_state": None}, "is not marked offline any more, or runs"),
        ({**OFFLINE, "disks": [{"uuid": "d-2"}]}, "has other disks than were exported"),
        ({**OFFLINE, "tags": ["ganeti-move:0123456789abcdef:source:up"]}, "takes part in move"),
    ],
)
def test_only_what_was_exported_is_removed(now: t.Optional[dict[str, t.Any]], words: t.Optional[str]) -> None:
    said = why_not_removed(RUNS, now)
    assert said is None if words is None else said is not None and said.startswith(words)
    assert ids(removal(facts(OFFLINE))) == [("SET_PARAMS", True), "REMOVE"]


INI = "[export]\nversion = 0\n[instance]\nname = web1\ndisk_count = 1\ndisk0_dump = d-1.snap\n"


@pytest.mark.parametrize(
    ("configuration", "sizes", "words"),
    [
        (INI, {"config.ini": 900, "d-1.snap": 10}, None),
        (INI, {"config.ini": 900, "d-1.snap": 10, "left by a failure": 7}, None),
        ("", {}, "has no configuration that can be read"),
        ("\0nonsense", {"config.ini": 9}, "has no configuration that can be read"),
        ("[instance]\ndisk_count = many\n", {"config.ini": 9}, "has no configuration that can be read"),
        (INI, {"config.ini": 900}, "holds nothing of 1 of its 1 disks"),
        (INI, {"config.ini": 900, "d-1.snap": 0}, "holds nothing of 1 of its 1 disks"),
        ("[instance]\ndisk_count = 0\n", {"config.ini": 9}, None),
    ],
)
def test_what_an_export_lacks(configuration: str, sizes: dict[str, int], words: t.Optional[str]) -> None:
    said = lacks(configuration, sizes)
    assert said is None if words is None else said is not None and said.startswith(words)


class Told:
    """A cluster that tells of exports and nodes; one of them comes back while it does."""

    def __init__(self) -> None:
        self.asked = 0

    def query(self, what: str, _fields: t.Any, _qfilter: t.Any = None) -> list[dict[str, t.Any]]:
        if what == "export":
            return [{"node": NODE, "export": NAME}, *({"node": node, "export": None} for node in (OTHER, "off", "silent"))]
        self.asked += 1
        answers = {NODE: (False, "b"), OTHER: (False, "b"), "off": (True, None), "silent": (False, "b" if self.asked > 1 else None)}
        return [{"name": name, "offline": offline, "bootid": boot} for name, (offline, boot) in answers.items()]


def test_a_node_without_exports_is_another_than_one_that_does_not_answer() -> None:
    assert ensure.exports_of(t.cast("t.Any", Told())) == ((Export(NAME, NODE),), ("silent",))
    assert ensure.exports_of(t.cast("t.Any", Told()), "web2.example.com") == ((), ("silent",))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"name": "../etc"}, "name is '../etc', which is not a host name"),
        ({"target_node": "a b"}, "target_node is 'a b', which is not a host name"),
        ({"transport": "rapi"}, "The remote API does not tell what an export holds"),
        ({"zero_free_space": True, "zeroing_kernel_path": "vmlinuz"}, "zeroing_kernel_path is 'vmlinuz'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anybody_is_asked(asked: dict[str, t.Any], words: str) -> None:
    paths = {"zeroing_kernel_path": "/boot/vmlinuz", "zeroing_initrd_path": "/boot/initrd.img", "zeroing_method": "auto"}
    with pytest.raises(InvalidInput) as refused:
        ensure.ensure({**ASKED, **paths, "name": NAME, "target_node": NODE, "transport": "ssh", **asked}, False)
    assert words in refused.value.message
