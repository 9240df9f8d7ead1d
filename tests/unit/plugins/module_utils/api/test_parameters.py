# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import re
import typing as t
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput, PreflightFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.api.opcodes import MASK, OPCODES, opcode
from ansible_collections.ganeti.cluster.plugins.module_utils.api.parameter_kinds import delta, leaves
from ansible_collections.ganeti.cluster.plugins.module_utils.api.parameters import (
    BY_NAME,
    MODIFY,
    STEPS,
    TABLE,
    ClusterState,
    argument_spec,
    check_transport,
    given_in,
    modifications,
    plan,
    track,
    values,
    warnings,
)

ROOT = Path(__file__).resolve().parents[5]
SPECS = {"cpu-count": 1, "disk-count": 1, "disk-size": 1024, "memory-size": 128, "nic-count": 1, "spindle-use": 1}
HYPERVISOR = {"acpi": True, "cpu_type": "", "migration_port": 8102, "disk_cache": "default"}
CONSTANTS = {
    "HVC_DEFAULTS": {"kvm": HYPERVISOR, "fake": {"migration_mode": "live"}},
    "BEC_DEFAULTS": {"maxmem": 128, "minmem": 128, "vcpus": 1, "auto_balance": True},
    "NICC_DEFAULTS": {"mode": "bridged", "link": "xen-br0", "vlan": ""},
    "NDC_DEFAULTS": {"oob_program": "", "spindle_count": 1, "cpu_speed": 1.0},
    "DISK_DT_DEFAULTS": {"drbd": {"resync-rate": 61440, "disk-barriers": "n"}, "file": {}},
    "IPOLICY_DEFAULTS": {
        "minmax": [{"min": SPECS, "max": {**SPECS, "memory-size": 32768}}],
        "std": SPECS,
        "disk-templates": ["plain", "file"],
        "vcpu-ratio": 4.0,
        "spindle-ratio": 32.0,
    },
    "HVST_DEFAULTS": {"mem_total": 0, "mem_node": 0},
    "DS_DEFAULTS": {"disk_total": 0, "disk_reserved": 0},
    "DEFAULT_FILE_STORAGE_DIR": "/srv/ganeti/file-storage",
}
INFO: dict[str, t.Any] = {
    "enabled_hypervisors": ["fake"],
    "hvparams": {"kvm": {**HYPERVISOR, "acpi": False}, "fake": {"migration_mode": "live"}},
    "os_hvp": {"debian": {"kvm": {"acpi": True, "cpu_type": "host"}}},
    "beparams": {"default": {"maxmem": 128, "minmem": 128, "vcpus": 1, "auto_balance": True}},
    "nicparams": {"default": {"mode": "bridged", "link": "br0", "vlan": ""}},
    "ndparams": {"oob_program": "", "spindle_count": 1, "cpu_speed": 1.0},
    "diskparams": {"drbd": {"resync-rate": 61440, "disk-barriers": "n"}, "file": {}},
    "ipolicy": {**CONSTANTS["IPOLICY_DEFAULTS"], "vcpu-ratio": 8.0},  # type: ignore[dict-item]
    "osparams": {"debian": {"mirror": "a", "suite": "b"}},
    "candidate_pool_size": 10,
    "max_running_jobs": 20,
    "maintain_node_health": False,
    "mac_prefix": "aa:00:00",
    "uid_pool": [[1000, 1999], [3000, 3000]],
    "hidden_os": ["old"],
    "compression_tools": ["gzip", "lzop"],
    "zeroing_image": "",
    "install_image": "/srv/image",
    "gluster_storage_dir": "/var/run/ganeti/gluster",
    "volume_group_name": None,
    "enabled_data_collectors": {"lv": True, "drbd": True},
    "data_collector_interval": {"lv": 5000000, "drbd": 5000000},
    "default_iallocator_params": {},
    "tags": ["b", "a"],
}
CONFIG = {
    "modify_etc_hosts": True,
    "hv_state_static": {},
    "disk_state_static": {},
    "osparams_private_cluster": {"debian": {"key": "old-secret"}},
}
STATE = ClusterState(INFO, CONFIG, CONSTANTS, {"allow_cipher_bypassing": False, "backend_storage": "disk"})
BY_RAPI = ClusterState(INFO)


def fields(**wanted: t.Any) -> list[dict[str, t.Any]]:
    """What the opcodes would hold."""
    return modifications(plan(wanted, STATE))


def problem(state: ClusterState = STATE, **wanted: t.Any) -> str:
    """The one thing that stands against it."""
    with pytest.raises(PreflightFailed) as caught:
        plan(wanted, state)
    assert len(caught.value.problems) == 1
    return caught.value.problems[0]


# --- The table --------------------------------------------------------------------------------------------------------


def test_the_table_has_every_field_of_the_opcode() -> None:
    assert {row.name for row in TABLE if row.via == MODIFY} | STEPS == OPCODES[MODIFY].fields
    assert len(BY_NAME) == len(TABLE)


def test_the_documentation_is_that_of_the_table() -> None:
    text = (ROOT / "plugins/modules/cluster.py").read_text()
    documented = yaml.safe_load(re.search(r'DOCUMENTATION = r"""\n(.*?)"""', text, re.S)[1])["options"]  # type: ignore[index]
    assert list(documented) == list(BY_NAME)
    for row in TABLE:
        assert documented[row.name]["description"][0] == row.about
        assert {key: value for key, value in documented[row.name].items() if key != "description"} == row.kind.argument


def test_every_parameter_is_in_the_users_guide() -> None:
    guide = (ROOT / "docs/cluster.md").read_text().split("## Parameters")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", guide, re.M)
    about = {row.name: re.sub(r"[CV]\((.*?)\)", r"`\1`", row.about) for row in TABLE}
    assert {name: text.split(" | ")[0] for name, text in rows} == about


def test_the_playbook_passes_every_parameter_on() -> None:
    (play,) = yaml.safe_load((ROOT / "playbooks/cluster_parameters.yml").read_text())
    assert play["tasks"][0]["ganeti.cluster.cluster"] == {name: f"{{{{ parameters.{name} | default(omit) }}}}" for name in BY_NAME}


def test_secrets_are_no_log() -> None:
    assert argument_spec()["osparams_private_cluster"]["no_log"] is True
    assert "no_log" not in argument_spec()["osparams"]


@pytest.mark.parametrize("name", ["allow_cipher_bypassing", "backend_storage", "compression_tools", "hv_state", "osparams_private_cluster"])
def test_what_rapi_must_not_set_is_refused_before_anything_is_sent(name: str) -> None:
    with pytest.raises(InvalidInput, match=f"{name} cannot be set( or read)? over RAPI.*nothing was sent"):
        check_transport({name: 1}, "rapi")
    check_transport({name: 1}, "ssh")
    check_transport({name: 1}, "luxi")


def test_what_was_not_given_is_left_alone() -> None:
    assert given_in({"tags": None, "vg_name": "", "maintain_node_health": False, "transport": "luxi"}) == {"vg_name": "", "maintain_node_health": False}


# --- What is set ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wanted", "sent"),
    [
        ("hvparams", {"kvm": {"acpi": "yes"}}, {"kvm": {"acpi": True}}),
        ("hvparams", {"kvm": {"acpi": "default", "migration_port": "8103"}}, {"kvm": {"acpi": True, "migration_port": 8103}}),
        ("hvparams", {"kvm": "default"}, {"kvm": {"acpi": True}}),
        ("hvparams", {"kvm": {"cpu_type": 486}}, {"kvm": {"cpu_type": "486"}}),
        ("beparams", {"memory": "1G"}, {"maxmem": 1024, "minmem": 1024}),
        ("beparams", {"maxmem": 129}, {"maxmem": 132}),
        ("nicparams", {"link": "default"}, {"link": "xen-br0"}),
        ("ndparams", {"cpu_speed": "2"}, {"cpu_speed": 2.0}),
        ("diskparams", {"drbd": {"resync-rate": 1}}, {"drbd": {"resync-rate": 1}}),
        ("ipolicy", {"vcpu-ratio": "default"}, {"vcpu-ratio": 4.0}),
        ("ipolicy", {"disk-templates": ["file"]}, {"disk-templates": ["file"]}),
        ("ipolicy", {"std": {"memory-size": 256}}, {"std": {**SPECS, "memory-size": 256}}),
        (
            "ipolicy",
            {"minmax": [{"max": {"memory-size": 64}}]},
            {"minmax": [{"min": SPECS, "max": {**SPECS, "memory-size": 64}}]},
        ),
        ("osparams", {"debian": {"mirror": "default", "suite": "c"}}, {"debian": {"mirror": "default", "suite": "c"}}),
        ("osparams", {"debian": "default"}, {"debian": {"mirror": "default", "suite": "default"}}),
        ("osparams_private_cluster", {"debian": "default"}, {"debian": {"key": "default"}}),
        ("osparams_private_cluster", {"debian": {"key": "new"}}, {"debian": {"key": "new"}}),
        ("hv_state", {"fake": {"mem_total": "4"}}, {"fake": {"mem_total": 4, "mem_node": 0}}),
        ("disk_state", {"plain": {"vg": {"disk_total": 4}}}, {"plain": {"vg": {"disk_total": 4, "disk_reserved": 0}}}),
        ("candidate_pool_size", "3", 3),
        ("max_running_jobs", "21", 21),
        ("maintain_node_health", True, True),
        ("mac_prefix", "AA:00:01", "aa:00:01"),
        ("uid_pool", ["5", "1000-1999"], [[5, 5], [1000, 1999]]),
        ("uid_pool", ["default"], []),
        ("hidden_os", ["new"], [["add", "new"], ["remove", "old"]]),
        ("compression_tools", ["default"], ["gzip", "gzip-fast", "gzip-slow"]),
        ("zeroing_image", "/srv/zero", "/srv/zero"),
        ("vg_name", "xenvg", "xenvg"),
        ("enabled_data_collectors", {"lv": False}, {"lv": False}),
        ("data_collector_interval", {"lv": 2.5}, {"lv": 2500000}),
        ("default_iallocator_params", {"a": 1}, {"a": 1}),
        ("enabled_hypervisors", ["kvm", "fake"], ["kvm", "fake"]),
        ("file_storage_dir", "default", "/srv/ganeti/file-storage"),
    ],
)
def test_what_is_sent(name: str, wanted: t.Any, sent: t.Any) -> None:
    before = copy.deepcopy(STATE)
    assert fields(**{name: wanted}) == [{name: sent}]
    opcode(MODIFY, **fields(**{name: wanted})[0])
    assert before == STATE, "planning changes nothing"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("hvparams", {"kvm": {"acpi": "no", "migration_port": "8102"}}),
        ("hvparams", {"kvm": {"disk_cache": "default"}}),
        ("beparams", {"maxmem": "0.125G", "auto_balance": "yes"}),
        ("ipolicy", {"disk-templates": ["file", "plain"], "vcpu-ratio": 8, "minmax": [{"min": {"memory-size": "128"}}]}),
        ("ipolicy", {"minmax": "default"}),
        ("osparams", {"fedora": {"x": "default"}}),
        ("os_hvp", {"fedora": "default", "debian": {"kvm": {"acpi": "true", "migration_port": "default"}}}),
        ("candidate_pool_size", "default"),
        ("mac_prefix", "AA:00:00"),
        ("uid_pool", ["3000", "1000-1999"]),
        ("compression_tools", ["lzop", "gzip"]),
        ("zeroing_image", "default"),
        ("zeroing_image", ""),
        ("vg_name", ""),
        ("gluster_storage_dir", "/var/run/ganeti/gluster/"),
        ("data_collector_interval", {"lv": 5, "drbd": "default"}),
        ("tags", ["a", "b"]),
        ("allow_cipher_bypassing", False),
        ("backend_storage", "disk"),
        ("hv_state", {}),
    ],
)
def test_what_is_already_so_is_no_change(name: str, wanted: t.Any) -> None:
    assert plan({name: wanted}, STATE) == []


def test_one_change_is_one_opcode() -> None:
    assert fields(candidate_pool_size="3", beparams={"vcpus": 2}, maintain_node_health=False) == [
        {"candidate_pool_size": 3, "beparams": {"vcpus": 2}}
    ]


def test_a_parameter_that_ganeti_cannot_take_out_alone_goes_in_two_steps() -> None:
    wanted = {"debian": {"kvm": {"acpi": "default"}}}
    assert fields(candidate_pool_size="3", os_hvp=wanted, max_running_jobs="7") == [
        {"os_hvp": {"debian": {"kvm": None}}},
        {"candidate_pool_size": 3, "os_hvp": {"debian": {"kvm": {"cpu_type": "host"}}}, "max_running_jobs": 7},
    ]
    assert fields(os_hvp={"debian": "default"}) == [{"os_hvp": {"debian": {"kvm": None}}}]
    assert fields(os_hvp={"debian": {"kvm": {"acpi": False}}}) == [{"os_hvp": {"debian": {"kvm": {"acpi": False}}}}]


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wanted", "words"),
    [
        ("compression_tools", ["lzop"], "compression_tools lacks gzip, which Ganeti always needs"),
        ("compression_tools", [], "lacks gzip"),
        ("compression_tools", ["gzip", "none"], "none in it: that name is reserved"),
        ("compression_tools", ["gzip", "-d"], "'-d'.*no dash in front"),
        ("compression_tools", ["gzip", "gzip -9"], "'gzip -9'.*letters, digits, dashes and underscores"),
        ("compression_tools", ["gzip", "zst\n"], "letters, digits"),
        ("compression_tools", ["gzip", "gzip"], "names gzip twice"),
        ("zeroing_image", "relative", "use an absolute path"),
        ("install_image", "", "install_image cannot be cleared"),
        ("install_image", "default", "cannot be cleared"),
        ("gluster_storage_dir", "/srv/gluster", "stays so: Ganeti 3.0 takes a new gluster_storage_dir without storing it"),
        ("gluster_storage_dir", "default", "has no default"),
        ("enabled_hypervisors", [], "is empty"),
        ("enabled_disk_templates", [], "is empty"),
        ("enabled_hypervisors", ["default"], "has no default"),
        ("candidate_pool_size", "0", "use a number from 1"),
        ("candidate_pool_size", "many", "use a number from 1"),
        ("hvparams", {"kvm": {"colour": 1}}, "kvm.colour, which Ganeti does not have: use one of acpi"),
        ("hvparams", {"qemu": {"acpi": 1}}, "has qemu, which Ganeti does not have: use one of fake, kvm"),
        ("hvparams", {"kvm": {"acpi": "perhaps"}}, "'perhaps' for kvm.acpi: use true or false"),
        ("hvparams", {"kvm": {"acpi": {"a": 1}}}, "kvm.acpi, which takes one value"),
        ("hvparams", {"kvm": 3}, "one value for kvm, which takes parameters of its own"),
        ("hvparams", {"kvm": {"acpi": None}}, "has no value for kvm.acpi"),
        ("hvparams", {"kvm": {"cpu_type": True}}, "put it in quotes"),
        ("beparams", {"maxmem": "lots"}, "use a size"),
        ("beparams", {"vcpus": [1]}, "has a list for vcpus"),
        ("ipolicy", {"minmax": [{"most": {}}]}, "other keys than min and max"),
        ("ipolicy", {"minmax": [{"max": {"legs": 4}}]}, "minmax.max.legs, which Ganeti does not have"),
        ("ipolicy", {"minmax": 3}, "no list of pairs"),
        ("ipolicy", {"colour": 3}, "has colour, which Ganeti does not have"),
        ("enabled_data_collectors", {"weather": True}, "has weather, which Ganeti does not have: use one of drbd, lv"),
        ("data_collector_interval", {"weather": 1}, "has weather"),
        ("data_collector_interval", {"lv": 0}, "use seconds"),
        ("mac_prefix", "aa:00", "three octets"),
        ("uid_pool", ["9-1"], "goes upwards"),
        ("uid_pool", ["1-9", "5"], "in two ranges"),
        ("uid_pool", ["x"], "ranges of user ids"),
        ("file_storage_dir", "a/b", "absolute path"),
        ("file_storage_dir", "/srv/../etc", "absolute path"),
        ("master_netdev", "../eth0", "network device"),
        ("default_iallocator", "/bin/sh", "without a path"),
        ("os_hvp", {"debian": {"kvm": 3}}, "use system, hypervisor, parameter and value"),
        ("tags", ["a b"], "a tag has up to 128"),
        ("backend_storage", "couchdb", "use the module backend_storage"),
    ],
)
def test_what_cannot_be_is_refused_in_words(name: str, wanted: t.Any, words: str) -> None:
    assert re.search(words, problem(**{name: wanted}))


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(PreflightFailed) as caught:
        plan({"compression_tools": ["lzop"], "mac_prefix": "x", "candidate_pool_size": "3"}, STATE)
    assert [text.split()[0] for text in caught.value.problems] == ["compression_tools", "mac_prefix"]


def test_over_rapi_only_what_is_stored_is_known() -> None:
    assert modifications(plan({"hvparams": {"kvm": {"acpi": True}}, "max_running_jobs": "default"}, BY_RAPI)) == [
        {"hvparams": {"kvm": {"acpi": True}}}
    ]
    assert "use transport ssh" in problem(BY_RAPI, hvparams={"kvm": {"acpi": "default"}})
    assert "allow_cipher_bypassing" not in values(BY_RAPI) and "modify_etc_hosts" not in values(BY_RAPI)


def test_what_works_but_not_as_it_seems_is_told() -> None:
    assert "cannot fetch under Python 3" in warnings(plan({"zeroing_image": "http://x/y"}, STATE))[0]
    assert "demotes nobody" in warnings(plan({"candidate_pool_size": "1"}, STATE))[0]
    assert warnings(plan({"zeroing_image": "/x", "candidate_pool_size": "11"}, STATE)) == []


# --- What is shown ----------------------------------------------------------------------------------------------------


def test_secrets_are_not_shown() -> None:
    changes = plan({"osparams_private_cluster": {"debian": {"key": "new-secret", "more": "other-secret"}}}, STATE)
    difference = track(changes)
    assert difference.changed and set(difference.diff()["after"]) == {"osparams_private_cluster.debian.key", "osparams_private_cluster.debian.more"}
    assert "secret" not in str(difference.diff()) and "secret" not in str(values(STATE))
    assert values(STATE)["osparams_private_cluster"] == {"debian": {"key": MASK}}


def test_of_nested_parameters_only_what_differs_is_shown() -> None:
    difference = track(plan({"hvparams": {"kvm": {"acpi": True}}, "osparams": {"debian": {"mirror": "default"}}, "tags": ["a"]}, STATE))
    assert difference.diff() == {
        "before": {"hvparams.kvm.acpi": False, "osparams.debian.mirror": "a", "tags": ["a", "b"]},
        "after": {"hvparams.kvm.acpi": True, "osparams.debian.mirror": None, "tags": ["a"]},
    }


# --- For any input ----------------------------------------------------------------------------------------------------

NAMES = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(["gzip", "none", "-d", "default", "lzop", "a b", "gzip\n"])
KEYS = st.sampled_from(["kvm", "acpi", "debian", "minmax", "max", "std", "disk-templates", "plain", "lv"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | KEYS, inner, max_size=3),
    max_leaves=8,
)
SCALARS = st.booleans() | st.integers(-10, 10**6) | st.text("abc0", max_size=3)


@given(st.lists(NAMES, max_size=5))
def test_no_list_of_tools_gets_through_that_could_do_harm(names: list[str]) -> None:
    try:
        changes = plan({"compression_tools": names}, STATE)
    except PreflightFailed as error:
        assert error.message.startswith("compression_tools ")
        return
    for tool in changes[0].wanted if changes else ():
        assert re.fullmatch(r"[_a-zA-Z0-9][-_a-zA-Z0-9]*", tool) and tool != "none"
    assert not changes or "gzip" in changes[0].wanted


@given(st.sampled_from([row.name for row in TABLE if row.kind.argument["type"] == "dict"]), st.dictionaries(NAMES | KEYS, ANYTHING, max_size=3))
@example("disk_state", {"plain": True})
def test_nested_input_of_any_shape_is_planned_or_refused_in_words(name: str, wanted: dict[str, t.Any]) -> None:
    try:
        changes = plan({name: wanted}, STATE)
    except PreflightFailed as error:
        assert error.problems[0].startswith(f"{name} ")
    else:
        modifications(changes)


@given(st.sampled_from([row.name for row in TABLE if row.kind.argument["type"] == "list"]), st.lists(NAMES, max_size=4))
def test_lists_of_any_names_are_planned_or_refused_in_words(name: str, wanted: list[str]) -> None:
    try:
        changes = plan({name: wanted}, STATE)
    except PreflightFailed as error:
        assert error.problems[0].startswith(f"{name} ")
    else:
        modifications(changes)


TREES = st.dictionaries(st.text("xyz", min_size=1, max_size=2), st.dictionaries(st.text("abc", min_size=1, max_size=2), SCALARS, max_size=3), max_size=3)


@given(TREES, TREES)
def test_a_delta_holds_what_differs_and_nothing_else(before: dict[str, t.Any], after: dict[str, t.Any]) -> None:
    old, new = dict(leaves(before)), dict(leaves(after))
    expected = {path: new.get(path) for path in {**old, **new} if (path in old, old.get(path)) != (path in new, new.get(path))}
    assert dict(leaves(delta(before, after))) == expected


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=4))
def test_uid_ranges_are_read_back_as_they_were_sent(pairs: list[tuple[int, int]]) -> None:
    try:
        changes = plan({"uid_pool": [f"{low}-{high}" for low, high in pairs]}, STATE)
    except PreflightFailed:
        ordered = sorted(pairs)
        assert any(low > high for low, high in pairs) or any(b[0] <= a[1] for a, b in zip(ordered, ordered[1:]))
        return
    stored = modifications(changes)[0]["uid_pool"]
    assert [tuple(pair) for pair in stored] == sorted(pairs)
    assert plan({"uid_pool": [f"{low}-{high}" for low, high in pairs]}, STATE._replace(info={**INFO, "uid_pool": stored})) == []


@given(st.dictionaries(st.sampled_from(["maxmem", "minmem"]), st.integers(0, 10**7) | st.integers(1, 999).map(lambda n: f"{n}G")))
def test_sizes_are_what_ganeti_makes_of_them(wanted: dict[str, t.Any]) -> None:
    changes = plan({"beparams": wanted}, STATE)
    sent = modifications(changes)[0]["beparams"] if changes else {}
    assert all(size % 4 == 0 for size in sent.values())
    stored = {**INFO["beparams"]["default"], **sent}
    assert plan({"beparams": wanted}, STATE._replace(info={**INFO, "beparams": {"default": stored}})) == []
