# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configurations and jobs as Ganeti 3.0 has them, made small; and any that there may be."""

from __future__ import annotations

import typing as t
import uuid

from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH, Claim

Json = t.Dict[str, t.Any]
PASSWORD = "of%the+lab/2"
"""Of the users of an etcd with authentication."""
CONTAINERS = ("nodes", "nodegroups", "instances", "networks", "disks", "filters")


def mine(epoch: int, master: str) -> Claim:
    """The claim with which a master begins an epoch."""
    return Claim(epoch * EPOCH, master)


def name(number: int) -> str:
    """A UUID."""
    return str(uuid.UUID(int=number))


def configuration(serial: int = 20, count: int = 3, mark: object = "") -> Json:
    """A configuration with so many instances, each of which, and the cluster, carries a mark."""
    instances = {name(number): {"uuid": name(number), "name": f"inst{number}.lab.example", "mark": mark} for number in range(100, 100 + count)}
    return {
        "version": 3000000,
        "cluster": {"cluster_name": "alpha.lab.example", "master_node": name(1), "mark": mark, "ctime": 1795248633.98324},
        "nodes": {name(1): {"uuid": name(1), "name": "a1.lab.example", "serial_no": 1, "mtime": 1795250042.730287}},
        "nodegroups": {name(2): {"uuid": name(2), "name": "default", "members": [name(1)]}},
        "instances": instances,
        "networks": {},
        "disks": {name(3): {"uuid": name(3), "size": 1152921504606846976}},
        "filters": {},
        "serial_no": serial,
        "ctime": 1795248633.98324,
        "mtime": 1795250042.730287,
    }


def job(number: int, text: str = "") -> Json:
    """A job with one opcode."""
    ops = [{"input": {"OP_ID": "OP_TEST_DELAY", "duration": 0.5}, "status": "success", "log": text}]
    return {"id": number, "ops": ops, "received_timestamp": [1795250042, number]}


_SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8)
OBJECTS = st.dictionaries(st.uuids().map(str), st.dictionaries(st.text(max_size=8), VALUES, max_size=4), max_size=5)


@st.composite
def configurations(draw: st.DrawFn) -> Json:
    """Any configuration; one that lacks containers is one, too."""
    found: Json = {"cluster": draw(st.dictionaries(st.text(max_size=8), VALUES, max_size=3)), "serial_no": draw(st.integers(1, 2**53))}
    for container in draw(st.lists(st.sampled_from(CONTAINERS), unique=True)):
        found[container] = draw(OBJECTS)
    return found


@st.composite
def queues(draw: st.DrawFn) -> t.Dict[int, Json]:
    """Any jobs."""
    numbers = draw(st.lists(st.integers(1, 2**40), unique=True, max_size=5))
    return {number: {**draw(st.dictionaries(st.text(min_size=3, max_size=8), VALUES, max_size=3)), "id": number} for number in numbers}
