# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ganeti's own exports, by the modules: where they work (3.0.2), and where they are refused (3.1.0~rc2)."""

from __future__ import annotations

import pytest

from .conftest import make
from .lab import STORAGE

EXPORTS = "/var/lib/ganeti/export"
TARGET = "a3.lab.example"


@pytest.fixture
def export(lab, name):
    """Runs the module about the test's instance; removes what is left in the end."""

    def run(cluster="alpha", options=(), **given):
        return lab.module("instance_export", {"transport": "ssh", **lab.side(cluster), "name": name, "target_node": TARGET, **given}, options=options)

    yield run
    run(state="absent")


def told(lab, name):
    """What export_info tells of the instance."""
    result = lab.module("export_info", {"transport": "ssh", **lab.side("alpha"), "name": name})
    assert not result["failed"] and not result["changed"], result
    return result


def twice(export, **given):
    """Do it, and see that the second run has nothing to do."""
    foreseen = export(options=["--check"], **given)
    assert foreseen["changed"] and not foreseen["failed"], foreseen
    first = export(**given)
    assert first["changed"] and not first["failed"] and first["exports"] == foreseen["exports"], first
    second = export(**given)
    assert not second["changed"] and not second["failed"], second
    return first


def test_an_instance_that_runs_is_stopped_exported_and_running_again(lab, instance, export, way):
    name = instance()
    refused = export()
    assert refused["failed"] and "runs, and disks of the template file have no snapshots: set shutdown" in refused["msg"], refused
    digest = lab.run(way.source, "sh", "-c", f"sha256sum <$(ls {STORAGE}/{name}/*.disk0)")
    result = twice(export, shutdown=True, compress="gzip")
    assert result["exports"] == [{"instance": name, "node": TARGET}]
    assert lab.fields("alpha", name, "status") == ["running"]
    assert digest == lab.run("a3", "sh", "-c", f"cat $(ls {EXPORTS}/{name}/* | grep -v config.ini) | sha256sum")
    found = told(lab, name)
    assert (found["exports"], found["silent"]) == (result["exports"], [])
    elsewhere = export(target_node="a2", shutdown=True)
    assert elsewhere["failed"] and f"{name} has an export on {TARGET}, which Ganeti removes when it makes another one: set replace" in elsewhere["msg"]
    assert export(target_node="a2", shutdown=True, replace=True)["exports"] == [{"instance": name, "node": "a2.lab.example"}]
    removed = twice(export, state="absent")
    assert removed["exports"] == [] and lab.fields("alpha", name, "status") == ["running"]


def test_an_instance_is_removed_when_its_export_is_whole(lab, instance, export):
    name = instance()
    result = twice(export, remove_instance=True, shutdown=True)
    assert lab.fields("alpha", name, "status") is None and result["exports"] == [{"instance": name, "node": TARGET}]
    lab.run("a3", "test", "-s", f"{EXPORTS}/{name}/config.ini")


def test_an_export_that_fails_leaves_the_instance_running(lab, instance, export):
    name = instance()
    lab.run("a3", "sh", "-c", f"mkdir -p {EXPORTS} && : >{EXPORTS}/{name}.new")  # a file where Ganeti wants a directory
    try:
        result = export(shutdown=True)
    finally:
        lab.run("a3", "rm", "-f", f"{EXPORTS}/{name}.new")
    assert result["failed"], result
    assert lab.fields("alpha", name, "status") == ["running"], result
    assert told(lab, name)["exports"] == []


def test_what_cannot_be_is_refused_before_anything_is_done(lab, instance, export):
    name = instance(start=False)
    result = export(zero_free_space=True, zeroing_by="ganeti", compress="nosuchtool", target_node="a3")
    for words in ("needs LVM", "needs the cluster's parameter zeroing_image", "nosuchtool is not in the cluster's compression_tools", "set shutdown"):
        assert words in result["msg"], result
    assert "alpha.lab.example has no such node" in export(target_node="a9")["msg"]
    assert "There is no instance" in export(name=f"none.{name}")["msg"]
    assert "is not a host name" in export(name="../etc")["msg"]


def test_a_script_that_writes_nothing_costs_no_instance(lab, instance, export, way):
    lab.run(way.source, "sh", "-c", "cd /usr/share/ganeti/os && cp -r noop silent && echo '#!/bin/sh' >silent/export")  # as Debian's noop has it
    try:
        name = instance(os_type="silent")
        result = export(remove_instance=True, shutdown=True)
    finally:
        lab.run(way.source, "rm", "-r", "/usr/share/ganeti/os/silent")
    assert result["failed"] and "holds nothing of 1 of its 1 disks: the export script of its operating system wrote nothing" in result["msg"], result
    assert result["msg"].endswith(f"{name} is as it was.") and lab.fields("alpha", name, "status") == ["running"]


def test_a_release_that_cannot_export_is_left_alone(lab, export, name):
    make(lab, "beta", "b1", name, start=False, data=0)
    result = export("beta", target_node="b2")
    assert result["failed"] and "cannot export" in result["msg"] and "move the instance instead" in result["msg"], result
