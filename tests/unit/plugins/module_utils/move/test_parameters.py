# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values in effect at the source are in effect at the destination, or it is told that they are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.move import parameters

from .samples import info, instance

VALUES = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3))


@given(VALUES, VALUES, VALUES)
def test_effective_values_survive_other_defaults(custom, source_defaults, defaults):
    effective = {**source_defaults, **custom}
    stated = parameters.explicit(custom, effective, defaults)
    there = {**defaults, **stated}
    assert all(there[name] == value for name, value in effective.items() if name in defaults or name in custom)
    assert all(stated[name] == value for name, value in custom.items())
    assert all(name in custom or defaults[name] != value for name, value in stated.items())


@given(VALUES, VALUES, VALUES, VALUES)
def test_hypervisor_parameters_arrive_as_far_as_they_are_known(custom, cluster, of_cluster, of_os):
    effective = {**cluster, **custom}
    there = info(hvparams={"kvm": of_cluster}, os_hvp={"debian+default": {"kvm": {n: v for n, v in of_os.items() if n in of_cluster}}})
    stated = parameters.hypervisor(instance(hv=effective, custom_hv=custom), there, {})
    arrived = {**of_cluster, **there["os_hvp"]["debian+default"]["kvm"], **stated.values}
    known = {name for name in effective if name in of_cluster or not of_cluster}
    assert all(arrived[name] == effective[name] for name in known & set(of_cluster))
    assert {note.split()[7].rstrip(",") for note in stated.notes} == set(effective) - known
    assert stated.after == {**arrived}


def test_the_destinations_default_for_the_os_counts():
    """The source has acpi, the destination's cluster as well, but not for this OS."""
    there = info(hvparams={"kvm": {"acpi": True}}, os_hvp={"debian+default": {"kvm": {"acpi": False}}})
    assert parameters.hypervisor(instance(hv={"acpi": True}, custom_hv={}), there, {}).values == {"acpi": True}
    same = info(hvparams={"kvm": {"acpi": False}}, os_hvp={"debian+default": {"kvm": {"acpi": True}}})
    assert parameters.hypervisor(instance(hv={"acpi": True}, custom_hv={}), same, {}).values == {}


def test_parameters_of_the_cluster_are_not_stated():
    given_ = instance(hv={"migration_port": 9000, "xen_cmd": "xl"}, custom_hv={"migration_port": 9000})
    assert parameters.hypervisor(given_, info(), {}) == parameters.Stated({}, {}, {"boot_order": "cdrom", "acpi": False})


@pytest.mark.parametrize(
    ("custom", "inherited", "default", "stated"),
    [
        ({}, "default", "ignore", {}),  # a newer destination, same effect
        ({}, "default", "unmap", {"disk_discard": "ignore"}),
        ({}, "default", "default", {}),
        ({"disk_discard": "default"}, "default", "ignore", {"disk_discard": "ignore"}),
        ({"disk_discard": "default"}, "default", "default", {"disk_discard": "default"}),
        ({}, "ignore", "default", {"disk_discard": "ignore"}),
        ({"disk_discard": "unmap"}, "unmap", "ignore", {"disk_discard": "unmap"}),
    ],
)
def test_a_value_that_newer_ganeti_dropped_has_its_effect(custom, inherited, default, stated):
    found = parameters.hypervisor(instance(hv={"disk_discard": inherited}, custom_hv=custom), info(hvparams={"kvm": {"disk_discard": default}}), {})
    assert (found.values, found.notes) == (stated, ())


def test_a_parameter_that_the_destination_does_not_know_is_left_out_and_told():
    found = parameters.hypervisor(instance(hv={"acpi": True, "odd": 7}, custom_hv={"odd": 7}), info(hvparams={"kvm": {"acpi": True}}), {})
    assert found.values == {} and found.notes == ("beta.example.com does not know the hypervisor parameter odd, which is 7 now: it is left out.",)


def test_the_users_own_hypervisor_parameters_win():
    found = parameters.hypervisor(instance(), info(), {"acpi": None, "boot_order": "network"})
    assert found.values == {"boot_order": "network"} and found.after == {"boot_order": "network", "acpi": False}


def test_backend_parameters_leave_the_alias_out():
    found = parameters.backend(instance(be={"maxmem": 512, "memory": 512, "vcpus": 2}, custom_be={"maxmem": 512}), info())
    assert found.values == {"maxmem": 512, "vcpus": 2} and found.notes == ()


OSPARAMS = {"debian": {"mirror": "a", "flavour": "vanilla"}, "debian+default": {"flavour": "small"}}


def test_inherited_os_parameters_arrive():
    """Those of the OS and, above them, those of its variant; the destination has others."""
    found = parameters.operating_system(instance(custom_os={"user": "me"}), info(), info("alpha", osparams=OSPARAMS))
    assert found.values == {"mirror": "a", "flavour": "small", "user": "me"} and found.notes == ()


def test_os_parameters_that_both_clusters_have_stay_inherited():
    found = parameters.operating_system(instance(custom_os={}), info(osparams=OSPARAMS), info("alpha", osparams=OSPARAMS))
    assert found.values == {} and found.after == {"mirror": "a", "flavour": "small"}


def test_os_parameters_that_only_the_destination_has_are_told():
    found = parameters.operating_system(instance(custom_os={}), info(osparams=OSPARAMS), info("alpha"))
    assert found.values == {} and len(found.notes) == 2
    assert found.notes[0] == "beta.example.com sets the OS parameter flavour to 'small', which web.example.com does not have now."


@given(VALUES, VALUES, VALUES, VALUES, VALUES)
def test_os_parameters_in_effect_arrive(custom, base_here, variant_here, base_there, variant_there):
    here = info("alpha", osparams={"debian": base_here, "debian+default": variant_here})
    there = info(osparams={"debian": base_there, "debian+default": variant_there})
    found = parameters.operating_system(instance(custom_os=custom), there, here)
    effective = {**base_here, **variant_here, **custom}
    arrived = {**base_there, **variant_there, **found.values}
    assert {name: arrived[name] for name in effective} == effective
    assert len(found.notes) == len(set(arrived) - set(effective))
