# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of a cluster, and what its answers mean."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.api import jobs
from ansible_collections.ganeti.cluster.plugins.module_utils.move import facts, survey
from ansible_collections.ganeti.cluster.plugins.module_utils.move.speed import Choice
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.tools import NO_TOOL

from .samples import source

MIB = 1024 * 1024
OSES = [{"name": "debian", "variants": ["default"], "valid": True}, {"name": "broken", "variants": [], "valid": False}]


class Answering:
    """A cluster that answers each kind of question with the same rows, and remembers what it was asked."""

    def __init__(self, transport, **rows):
        self.transport = transport
        self.asked = []
        self._rows = rows

    def query(self, what, fields, qfilter=None):
        self.asked.append((what, tuple(fields), qfilter))
        return [{field: row.get(field) for field in fields} for row in self._rows[what]]

    def submit(self, opcodes):
        self.asked += [(op["OP_ID"], tuple(op["output_fields"]), op["names"]) for op in opcodes]
        return 7


@pytest.mark.parametrize("transport", ["luxi", "ssh"])
def test_an_os_that_is_not_valid_everywhere_is_none(monkeypatch, transport):
    """The job is under way before its answer is waited for."""
    cluster = Answering(transport)
    answer = facts.ask_for_oses(cluster)
    assert cluster.asked == [("OP_OS_DIAGNOSE", ("name", "variants", "valid"), [])]
    monkeypatch.setattr(facts.jobs, "results", lambda _cluster, job_id, **_limits: [[list(row.values()) for row in OSES]] if job_id == 7 else None)
    assert answer() == {"debian", "debian+default"}


def test_rapi_is_asked_for_what_it_tells():
    """It lists valid ones only, and has no field for it."""
    cluster = Answering("rapi", os=OSES[:1])
    assert facts.ask_for_oses(cluster)() == {"debian", "debian+default"} and cluster.asked == [("os", ("name", "variants"), None)]
    assert facts.providers(cluster) is None


def test_an_instance_is_not_asked_for_by_a_name_that_ganeti_completes():
    """Where the name alone is asked for, luxid answers with an error if it is the beginning of several."""
    cluster = Answering("luxi", instance=[])
    assert facts.instance(cluster, "web") is None
    assert cluster.asked[0][2] == ["&", ["=", "name", "web"]]


@pytest.mark.parametrize(
    ("data", "speed", "wanted"),
    [
        (None, None, {"tool": NO_TOOL}),
        (None, 100.0, {"tool": NO_TOOL}),
        (100 * MIB + 1, None, {"tool": NO_TOOL, "MiB": 101}),
        (1000 * MIB, 100.0, {"tool": NO_TOOL, "MiB": 1000, "expected_seconds": 10}),
        (0, 100.0, {"tool": NO_TOOL, "MiB": 0, "expected_seconds": 1}),
    ],
)
def test_what_is_known_about_the_copy(data, speed, wanted):
    found = survey.Survey(source(), "b2", Choice(NO_TOOL, None, speed), None, {}, ("Something.",), data)
    assert found.how == wanted
    assert found.shown == {"compress": NO_TOOL, "warnings": ["Something."]}


TAGGING = {"OP_ID": "OP_TAGS_DEL", "kind": "instance", "name": "web.example.com", "tags": ["x"]}


@pytest.mark.parametrize(
    ("op", "names"),
    [
        (TAGGING, ["web.example.com"]),  # whose summary is no more than "TAGS_DEL"
        ({**TAGGING, "kind": "node"}, []),
        ({"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "web"}, ["web"]),
        ({"OP_ID": "OP_INSTANCE_RENAME", "instance_name": "a", "new_name": "web"}, ["a", "web"]),
        ({"OP_ID": "OP_INSTANCE_MULTI_ALLOC", "instances": [{"OP_ID": "OP_INSTANCE_CREATE", "instance_name": "web"}]}, ["web"]),
        ({"OP_ID": "OP_INSTANCE_QUERY_DATA", "instances": ["web", "mail"]}, ["web", "mail"]),
        ({"OP_ID": "OP_CLUSTER_VERIFY", "group_name": "default"}, []),
    ],
)
def test_what_a_job_is_about_its_opcodes_tell(op, names):
    assert list(jobs.subjects(op)) == names
    rows = [{"id": 3, "summary": ["SOMETHING"], "ops": [op]}]
    asked = jobs.unfinished(Answering("luxi", job=rows), lambda name: name.startswith("web"))
    assert asked == (["3 (SOMETHING)"] if any(name.startswith("web") for name in names) else [])
