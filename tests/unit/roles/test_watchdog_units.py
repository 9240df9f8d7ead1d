# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The units of the watchdog: who looks has next to no rights, and who acts has no cell, as Ganeti's daemons are started from it."""

from __future__ import annotations

import json
from pathlib import Path

import jinja2
import pytest
import yaml

from ansible_collections.ganeti.cluster.plugins.module_utils.api import acknowledge
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DIRECTORY
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import ending
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog import admission, arming, options, watcher

ROLE = Path(__file__).resolve().parents[3] / "roles/backend_storage"
VARIABLES = yaml.safe_load((ROLE / "vars/main.yml").read_text())
FILES = {entry["template"]: entry["name"] for entry in VARIABLES["backend_storage_watchdog_files"]}


def unit(name):
    """A unit's settings; each of those that are asked for is there once."""
    return dict(line.split("=", 1) for line in (ROLE / f"templates/{name}.j2").read_text().splitlines() if "=" in line and not line.startswith("#"))


WATCHDOG, TAKEOVER = unit("ganeti-couchdb-watchdog.service"), unit("ganeti-couchdb-takeover.service")


def test_who_looks_may_write_what_it_admits_others_with_and_nothing_else():
    assert WATCHDOG["ReadWritePaths"] == f"-{DIRECTORY} -{Path(admission.AUTHORIZED).parent}"
    assert (WATCHDOG["ProtectSystem"], WATCHDOG["ProtectHome"], WATCHDOG["NoNewPrivileges"]) == ("strict", "read-only", "yes")
    assert set(WATCHDOG["CapabilityBoundingSet"].split()) == {"CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_CHOWN", "CAP_FOWNER"}
    assert "AF_UNIX" in WATCHDOG["RestrictAddressFamilies"], "it has systemd start the other unit"
    assert f"/run/{WATCHDOG['RuntimeDirectory']}/status.json" == watcher.STATUS
    assert WATCHDOG["Type"] == "notify" and WATCHDOG["Restart"] == "always" and int(WATCHDOG["TimeoutStopSec"]) > ending.GRACE


def test_what_the_takeover_has_started_goes_on_when_it_has_ended():
    assert (TAKEOVER["Type"], TAKEOVER["KillMode"], TAKEOVER["TimeoutStartSec"]) == ("oneshot", "process", "infinity")
    assert not [name for name in TAKEOVER if name.startswith(("Protect", "Private", "Restrict", "Capability", "NoNew", "SystemCall"))]
    assert "Restart" not in TAKEOVER and "WantedBy" not in TAKEOVER, "nobody but the watchdog starts it"
    assert FILES["ganeti-couchdb-takeover.service.j2"] == f"/etc/systemd/system/{watcher.UNIT}"


@pytest.mark.parametrize(("found", "option"), [(WATCHDOG, "--watch"), (TAKEOVER, "--take-over")])
def test_both_run_the_services_program_with_the_options_that_the_role_writes(found, option):
    program = f"/usr/bin/python3 -I {acknowledge.PROGRAM} --config {acknowledge.SETTINGS}"
    assert found["ExecStart"] == f"{program} {option} {FILES['couchdb-watchdog.json.j2']}"


def test_the_role_arms_where_nobody_was_armed_before():
    tasks = {task["name"]: task for task in yaml.safe_load((ROLE / "tasks/watchdog.yml").read_text())}
    assert f"{DIRECTORY}/{arming.NAME}" in tasks["Arm the node, the first time and where it is asked for"]["ansible.builtin.command"]["creates"]
    assert f"{DIRECTORY}/{arming.NAME}" in tasks["Remove the watchdog's options and units, and what it was armed for"]["loop"]


def test_the_options_are_those_that_the_program_reads(tmp_path):
    environment = jinja2.Environment()  # noqa: S701  # it makes no page
    environment.filters["to_nice_json"] = lambda value, **given: json.dumps(value, indent=4, **given)
    chosen = {"fence_command": '/usr/local/sbin/fence "it"', "silent_for": 5, "fence_timeout": "60"}
    made = environment.from_string((ROLE / "templates/couchdb-watchdog.json.j2").read_text()).render(backend_storage_watchdog_chosen=chosen)
    (tmp_path / "options").write_text(made)
    (tmp_path / "options").chmod(0o600)
    assert options.read(str(tmp_path / "options")) == options.Options(chosen["fence_command"], 5.0, 60.0)


def test_it_is_off_by_default_and_both_entry_points_describe_it_alike():
    specs = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]
    assert specs["watchdog"]["options"] == {name: specs["main"]["options"][name] for name in specs["watchdog"]["options"]}
    described = specs["main"]["options"]["backend_storage_watchdog"]["options"]
    defaults = {name: option["default"] for name, option in described.items() if "default" in option}
    assert defaults == {"enabled": False, "silent_for": 30, "fence_timeout": 60} and defaults["silent_for"] == options.Options("").silent_for
    assert all(f"'{name}': {str(value).lower()}" in VARIABLES["backend_storage_watchdog_chosen"] for name, value in defaults.items())
    assert yaml.safe_load((ROLE / "defaults/main.yml").read_text())["backend_storage_watchdog"] == {}
