# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed, RequestRefused
from ansible_collections.ganeti.cluster.plugins.module_utils.api.answers import fault, job_status, query_rows

_FIELDS = [{"name": "name", "kind": "text"}, {"name": "mfree", "kind": "unit"}]


def test_cells_without_a_value_are_none() -> None:
    answer = {"fields": _FIELDS, "data": [[[0, "n1"], [0, 512]], [[0, "n2"], [4, None]], [[0, "n3"], [2, None]]]}
    assert query_rows("node", ["name", "mfree"], answer) == [
        {"name": "n1", "mfree": 512},
        {"name": "n2", "mfree": None},
        {"name": "n3", "mfree": None},
    ]


def test_an_unknown_field_is_refused_even_without_items() -> None:
    answer = {"fields": [{"name": "colour", "kind": "unknown"}], "data": []}
    with pytest.raises(RequestRefused, match="no field colour of node"):
        query_rows("node", ["colour"], answer)


@pytest.mark.parametrize(
    "answer", [None, [], {}, {"fields": [], "data": [[1]]}, {"fields": _FIELDS, "data": [[[0, 1]]]}, {"fields": [1], "data": []}]
)
def test_another_shape_is_a_failed_connection(answer: t.Any) -> None:
    with pytest.raises(ConnectionFailed, match="not Ganeti's"):
        query_rows("node", ["name", "mfree"], answer)


@pytest.mark.parametrize(
    ("encoded", "message", "ecode"),
    [
        (["OpPrereqError", ["Instance x is known", "already_exists"]], "Instance x is known", "already_exists"),
        (["OpPrereqError", ["Only text"]], "Only text", None),
        (["OpExecError", ["Could not\n  do it"]], "Could not do it", None),
        (["HooksAbort", [[["n1", "10check", "no"]]]], "n1, 10check, no", None),
        (["ResolverError", ["host", -2, "Name or service not known"]], "host, -2, Name or service not known", None),
        ("Job canceled by request", "Job canceled by request", None),
    ],
)
def test_errors_are_decoded(encoded: t.Any, message: str, ecode: str | None) -> None:
    problem = fault(encoded)
    assert (problem.message, problem.ecode) == (message, ecode)


def test_a_job_is_read() -> None:
    job = job_status(
        {
            "id": 7, "status": "success", "summary": ["TEST"], "opstatus": ["success"], "opresult": [None],
            "oplog": [[[1, [100, 500000], "message", "hello"]]], "received_ts": [99, 0], "start_ts": [100, 0], "end_ts": None,
        }
    )  # fmt: skip
    assert job["oplog"][0][0].time == 100.5
    assert job["end"] is None
    with pytest.raises(ConnectionFailed):
        job_status({"id": 7})
