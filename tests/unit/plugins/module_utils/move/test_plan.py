# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The destination is made from the source's facts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.move import plan, tags
from ansible_collections.ganeti.cluster.plugins.module_utils.move.facts import InstanceDisk

from .samples import MOVE, NIC, info, instance, options, override, source

PARAMETERS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3))


@given(PARAMETERS, PARAMETERS, PARAMETERS)
def test_effective_values_survive_other_defaults(custom, source_defaults, defaults):
    effective = {**source_defaults, **custom}
    stated = plan.explicit(custom, effective, defaults)
    there = {**defaults, **stated}
    assert all(there[name] == value for name, value in effective.items() if name in defaults or name in custom)
    assert all(stated[name] == value for name, value in custom.items())


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


def test_parameters_of_the_cluster_are_not_stated():
    moved = plan.hypervisor_parameters(instance(hv={"migration_port": 9000}, custom_hv={"migration_port": 9000}), info())
    assert moved == {}


def test_overrides_change_what_they_name():
    replaced = plan.nic(NIC, options(nics=[override(mac="generate", network="lan")]).nics[0])
    assert replaced == {"mac": "generate", "name": "lan", "ip": "192.0.2.1", "network": "lan"}
    relinked = plan.nic(NIC._replace(network="dmz"), options(nics=[override(link="br7")]).nics[0])
    assert relinked == {"mac": NIC.mac, "name": "lan", "ip": "192.0.2.1", "link": "br7"}


def test_marks_of_an_earlier_move_do_not_come_along():
    made = plan.creation(source(tags=("prod", tags.moved_to(MOVE, "1"))), info(), options(), MOVE, False)
    assert made["tags"] == ["prod", tags.destination(MOVE)]


def test_a_disk_without_a_name_gets_none():
    assert plan.disk(InstanceDisk(64, "ro", None, None)) == {"size": 64, "mode": "ro"}


def test_start_follows_the_source_or_the_user():
    up, down = instance(), instance(admin_state="down", running=False)
    assert [plan.will_run(each, start) for start in ("as_before", "yes", "no") for each in (up, down)] == [True, False, True, True, False, False]


def test_the_difference_shows_the_move_and_no_more():
    shown = plan.difference(source(), ("alpha", "beta"), options(), "b2").diff()
    assert shown["before"] == {"cluster": "alpha", "primary_node": "a2", "source": "in use"}
    assert shown["after"] == {"cluster": "beta", "primary_node": "b2", "source": "fenced"}


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
    (told,) = plan.changes(before, after)
    assert words in told and told.startswith("web.example.com was changed while it was being moved: ") and told.endswith(".")


def test_what_the_move_itself_does_is_no_change():
    fenced = source(admin_state="offline", running=False, status="ADMIN_offline", tags=("prod", tags.source(MOVE, "up")))
    assert plan.changes(source(), fenced) == []


def test_secrets_are_compared_and_not_told():
    before, after = source()._replace(private={"password": "old"}), source()._replace(private={"password": "new"})
    assert plan.changes(before, after) == ["web.example.com was changed while it was being moved: its private OS parameters are others now."]
