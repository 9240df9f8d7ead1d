# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The destination is made from the source's facts."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.move import facts, plan, tags

from .samples import MOVE, NIC, info, instance, options, source


def test_everything_comes_along():
    made = plan.creation(source(), info(), options(), MOVE, False)
    assert made["OP_ID"] == "OP_INSTANCE_CREATE"
    assert made["disks"] == [{"size": 1024, "mode": "rw", "name": "root"}]
    assert made["nics"] == [{"mac": NIC.mac, "name": "lan", "ip": "192.0.2.1", "link": "br0"}]
    assert made["beparams"] == {"maxmem": 512, "vcpus": 2}  # vcpus was inherited, but is 1 by default at the destination
    assert made["hvparams"] == {"boot_order": "disk", "acpi": True}
    assert made["osparams"] == {"flavour": "small"}
    assert made["tags"] == ["prod", tags.destination(MOVE)]
    assert (made["os_type"], made["hypervisor"], made["disk_template"]) == ("debian+default", "kvm", "file")
    assert (made["no_install"], made["start"]) == (True, False)
    assert "pnode" not in made and "osparams_private" not in made


def test_marks_of_an_earlier_move_do_not_come_along():
    made = plan.creation(source(tags=("prod", tags.moved_to(MOVE, "1"))), info(), options(), MOVE, False)
    assert made["tags"] == ["prod", tags.destination(MOVE)]


def test_start_follows_the_source_or_the_user():
    up, down = instance(), instance(admin_state="down", running=False)
    assert [plan.will_run(each, start) for start in ("as_before", "yes", "no") for each in (up, down)] == [True, False, True, True, False, False]


def test_the_diff_shows_what_changes_and_what_stays():
    how = {"tool": "lzop", "MiB": 900, "expected_seconds": 9}
    shown = plan.difference(source()._replace(cluster={"name": "alpha"}), info(), options(), "b2", how)
    before, after = shown.diff()["before"], shown.diff()["after"]
    assert shown.changed
    assert (before["cluster"], after["cluster"]) == ("alpha", "beta.example.com")
    assert (before["primary_node"], after["primary_node"], before["source"], after["source"]) == ("a2", "b2", "in use", "fenced")
    assert before["disk/0"] == after["disk/0"] == {"template": "file", "size": 1024, "mode": "rw", "name": "root"}
    assert before["nic/0"] == after["nic/0"] == {"mac": NIC.mac, "name": "lan", "ip": "192.0.2.1", "mode": "bridged", "link": "br0"}
    assert (before["beparams/vcpus"], after["beparams/vcpus"]) == (2, 2) and after["hvparams/boot_order"] == "disk"
    assert (after["copy/tool"], after["copy/MiB"], after["copy/expected_seconds"]) == ("lzop", 900, 9)


def test_the_diff_names_the_machine_type_that_depends_on_the_node():
    given = source(hv={"machine_version": ""}, custom_hv={})
    shown = plan.difference(given, info(hvparams={"kvm": {"machine_version": ""}}), options(), "b2").diff()
    assert shown["before"]["hvparams/machine_version"] == "the default of QEMU on a2"
    assert shown["after"]["hvparams/machine_version"] == "the default of QEMU on b2"


def test_a_mirrored_destination_names_its_second_node():
    made = plan.creation(source(), info(), options(disk_template="drbd", primary_node="b1", secondary_node="b2"), MOVE, False)
    assert (made["disk_template"], made["pnode"], made["snode"]) == ("drbd", "b1", "b2")
    allocated = plan.creation(source(), info(), options(disk_template="drbd", iallocator="hail"), MOVE, False)
    assert allocated["iallocator"] == "hail" and not {"pnode", "snode"} & set(allocated)
    assert "snode" not in plan.creation(source(), info(), options(primary_node="b1", secondary_node="b2"), MOVE, False)


def test_the_policy_is_ignored_on_request():
    assert [plan.creation(source(), info(), options(ignore_ipolicy=wanted), MOVE, False)["ignore_ipolicy"] for wanted in (True, False)] == [True, False]


def test_where_an_instance_is_that_was_moved_before():
    there = instance(node="b2")
    assert plan.elsewhere(there, options()) is None and plan.elsewhere(there, options(primary_node="b2")) is None
    assert "is on b2, not on b9, and is left there" in plan.elsewhere(there, options(primary_node="b9"))


def test_what_rapi_does_not_tell_is_said():
    volume = facts.InstanceDisk(1024, "rw", None, None, "uuid", "ext", ("loopdev", "volume"))
    told = source(disk_template="ext")._replace(disks=(volume,), disk_params={})
    assert plan.notes(told, info(), options()) == []
    (note,) = plan.notes(told._replace(disk_params=None), info(), options())
    assert note.startswith("The remote API does not tell the parameters of ext disks")
    assert plan.notes(told._replace(disk_params=None), info(), options(ext_params={"provider": "loopdev"})) == []


DISK = source().disks[0]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (source(), source()._replace(disks=(DISK, DISK)), "the number of disks was 1 and is 2 now"),
        (source(), source()._replace(disks=(DISK._replace(size=2048),)), "the size of disk 0 was 1024 and is 2048 now"),
        (source(), source()._replace(disks=(DISK._replace(uuid="another"),)), "the uuid of disk 0"),
        (source(), source()._replace(disks=(DISK._replace(mode="ro"),)), "the mode of disk 0 was 'rw' and is 'ro' now"),
        (source(), source(nics=()), "the number of interfaces was 1 and is 0 now"),
        (source(), source(nics=(NIC._replace(mac="aa:00:00:00:00:01"),)), "the mac of interface 0"),
        (source(), source(nics=(NIC._replace(custom={}),)), "the custom of interface 0"),
        (source(), source(uuid="another"), "its UUID was"),
        (source(), source(node="a3"), "its primary node was 'a2' and is 'a3' now"),
        (source(), source(custom_be={"maxmem": 1024}), "its backend parameters"),
        (source(), source(custom_hv={}), "its hypervisor parameters"),
        (source(), source(custom_os={}), "its OS parameters"),
        (source(), source(os="debian"), "its operating system"),
        (source(), source(tags=("prod", "new")), "its tags was ['prod'] and is ['new', 'prod'] now"),
        (source(), source(disk_template="sharedfile"), "its disk template"),
    ],
)
def test_each_change_since_the_survey_is_told(before, after, words):
    (told,) = plan.source_changes(before, after)
    assert words in told and told.startswith("web.example.com was changed while it was being moved: ") and told.endswith(".")


def test_what_the_move_itself_does_is_no_change():
    fenced = source(admin_state="offline", running=False, status="ADMIN_offline", tags=("prod", tags.source(MOVE, "up")))
    assert plan.source_changes(source(), fenced) == []


def test_secrets_are_compared_and_not_told():
    before, after = source()._replace(private={"password": "old"}), source()._replace(private={"password": "new"})
    assert plan.source_changes(before, after) == ["web.example.com was changed while it was being moved: its private OS parameters are others now."]
