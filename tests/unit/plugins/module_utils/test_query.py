# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils import _query
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput

TOLD: dict[str, t.Any] = {"instances": [{"name": "a", "memory": 64}, {"name": "b", "memory": None}], "missing": []}


def never() -> dict[str, t.Any]:
    raise AssertionError("nobody is asked")


def test_without_a_query_nothing_is_different(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_query, "JMESPATH_ERROR", "Traceback")
    assert _query.told(None, lambda: TOLD) is TOLD


@pytest.mark.parametrize(("query", "picked"), [("instances[?memory].name", ["a"]), ("instances[0].memory", 64), ("nothing.of.that", None)])
def test_what_is_picked_stands_beside_what_is_told(query: str, picked: t.Any) -> None:
    assert _query.told(query, lambda: TOLD) == {**TOLD, "result": picked}


def test_what_is_no_expression_is_refused_before_anybody_is_asked() -> None:
    for query in ("][", "instances[?", ""):
        with pytest.raises(InvalidInput, match="query is no JMESPath expression that fits: .+"):
            _query.told(query, never)
    with pytest.raises(InvalidInput, match="no JMESPath expression that fits"):
        _query.told("sum(instances)", lambda: TOLD)


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_query, "JMESPATH_ERROR", "Traceback")
    with pytest.raises(InvalidInput, match=r"\(jmespath\)") as caught:
        _query.told("name", never)
    assert caught.value.details["exception"] == "Traceback"
