# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How etcd's members are: who answers, who leads, how large the database is, and what they say is wrong."""

from __future__ import annotations

import typing as t

from ...._errors import GanetiError
from ..documents import Json
from ..interface import Problem
from .client import Client

Member = t.Union[Json, str]
"""What a member says of itself, or why it says nothing."""


def look(client: Client) -> t.Dict[str, Member]:
    """All members, by their addresses."""
    found: t.Dict[str, Member] = {}
    for one in client.access.endpoints:
        try:
            found[one.url] = client.member(one)
        except GanetiError as error:
            found[one.url] = error.message
    return found


def problems(found: t.Mapping[str, Member]) -> t.List[Problem]:
    """What is wrong. While a majority answers all goes on; the next one that goes away may end that."""
    away = [url for url, said in found.items() if isinstance(said, str)]
    told = [Problem(True, f"{url} says {', '.join(map(str, said['errors']))}") for url, said in found.items() if isinstance(said, dict) and said.get("errors")]
    if away:
        few = 2 * (len(found) - len(away)) <= len(found)
        told.append(Problem(few, f"{len(away)} of {len(found)} members of etcd do not answer: {', '.join(away)}"))
    return told


def describe(found: t.Mapping[str, Member], serial: int, whole: t.Optional[int], problem: t.Optional[str]) -> Json:
    """What there is to tell of each member. What is stored is the same on all, as far as a majority answers."""
    return {url: _described(url, said, serial, whole, problem) for url, said in found.items()}


def _described(url: str, said: Member, serial: int, whole: t.Optional[int], problem: t.Optional[str]) -> Json:
    if isinstance(said, str):
        return {"url": url, "serial": None, "whole": None, "lag": None, "databases": {}, "conflicts": {}, "problem": said}
    lag = None if whole is None else serial - whole
    size = int(said.get("dbSize", 0))
    words = problem or (", ".join(map(str, said["errors"])) if said.get("errors") else None)
    return {
        "url": url, "serial": whole, "whole": whole, "lag": lag, "databases": {"etcd": {"bytes": size}}, "conflicts": {}, "problem": words,
        "version": said.get("version"), "leads": said.get("leader") == said.get("header", {}).get("member_id"),
    }  # fmt: skip
