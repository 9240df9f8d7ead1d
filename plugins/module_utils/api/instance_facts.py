# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the module instance_info tells: the instances that are asked for, and which of what was asked is not to be had."""

from __future__ import annotations

import typing as t

from .._errors import InvalidInput
from . import instances, naming
from .cluster_parameters import connect_options, reached


def tell(params: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """The module's result."""
    options = connect_options(params)
    asked = names_of(params["name"])
    with reached(options) as (cluster, master):
        rows = instances.query(cluster, asked, params["filter"], params["fields"])
        meant = {name: meaning(name, [row["name"] for row in rows]) for name in asked or ()}
        if asked is not None:
            rows = [row for row in rows if row["name"] in set(meant.values())]
        seen = instances.hidden(master, [row["uuid"] for row in rows]) if master is not None else {}
    return {
        "instances": [_with(instances.describe(row, seen.get(row["uuid"])), row, params["fields"]) for row in rows],
        "missing": [name for name, found in meant.items() if found is None],
        "unreadable": [] if master is not None else [f"disks.{name}" for name in instances.HIDDEN],
    }


def names_of(given: t.Optional[t.Sequence[str]]) -> t.Optional[t.List[str]]:
    """The names that are asked for, as Ganeti writes them; None for all. Raises InvalidInput for one that is none."""
    if given is None:
        return None
    names = [naming.normal(name) for name in given]
    problems = [problem for problem in (naming.problem("name", name) for name in names) if problem]
    if problems:
        raise InvalidInput(" ".join(problems))
    return list(dict.fromkeys(names))


def meaning(name: str, found: t.Sequence[str]) -> t.Optional[str]:
    """Which of the names that were *found* is meant by *name*: itself, or the only one whose first labels it is."""
    return name if name in found else instances.meant(name, found)


def _with(instance: instances.Instance, row: t.Mapping[str, t.Any], fields: t.Sequence[str]) -> instances.Instance:
    return {**instance, "fields": {field: row[field] for field in fields}} if fields else instance
