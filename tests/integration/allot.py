# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who has what of the lab while tests run side by side.

* A test that moves instances has names of its worker's own, and shares alpha and beta with others. It goes from a2 to b1, or to a3 within alpha.
* `apart("name")`: of the tests with the same name one runs at a time. Those that are apart as "wires" disturb what is between two nodes; they have the
  way from a3 to b2, which nobody else takes. Others disturb nothing but what the tests of their own name look at.
* `on("gamma", "delta")`: the test has a cluster for itself, in the fixture `site`; it runs on each that is named, one after the other with all other tests
  of that cluster. gamma is Debian 13 with Ganeti 3.1, delta Debian 12 with 3.0.
"""

from __future__ import annotations

import os
import typing as t

import pytest

from .moves import Way

SHARED = ("alpha", "beta")
WIRES = "wires"
WAYS = {WIRES: Way("a3", "b2", "a2")}
USUAL = Way("a2", "b1", "a3")
NAMES_A_WORKER = 10
FIRST = ("gamma", "delta", WIRES)
"""What takes longest, so what begins first."""

MARKERS = (
    "on(*clusters): the test has a cluster for itself, each of these in turn",
    "apart(name): of the tests with this name, one runs at a time",
)


def names() -> t.List[str]:
    """The names of instances that this worker's tests use."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    return [f"inst{worker * NAMES_A_WORKER + number}.lab.example" for number in range(1, NAMES_A_WORKER + 1)]


def group(item: pytest.Item) -> t.Optional[str]:
    """What a test has for itself, if anything."""
    if "site" in getattr(item, "fixturenames", ()):
        return str(item.callspec.params["site"])  # type: ignore[attr-defined]
    marker = item.get_closest_marker("apart")
    return str(marker.args[0]) if marker else None


def way(item: pytest.Item) -> Way:
    """The nodes between which a test's moves go."""
    return WAYS.get(group(item) or "", USUAL)


def arrange(items: t.List[pytest.Item]) -> None:
    """Tell xdist which tests belong together, and put those first that take longest."""
    groups = {item: group(item) for item in items}
    for item, name in groups.items():
        if name:
            item.add_marker(pytest.mark.xdist_group(name))
    order = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(groups[item] or "", len(order) if groups[item] else len(order) + 1))
