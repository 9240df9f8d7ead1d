# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A short name becomes the one that the cluster has, before anything is done with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils.api import naming
from ansible_collections.ganeti.cluster.plugins.module_utils.move import facts
from ansible_collections.ganeti.cluster.plugins.module_utils.move.survey import full_names

from .samples import MOVE, options

OLD, TWIN = f"web.example.com.{MOVE}.old", f"web.example.com.{MOVE}.twin"
LABELS = st.lists(st.sampled_from(["web", "db", "example", "com"]), min_size=1, max_size=4).map(".".join)


@pytest.mark.parametrize(
    ("name", "existing", "meant"),
    [
        ("web.example.com", ["web.example.com"], "web.example.com"),
        ("web", ["web.example.com", "db.example.com"], "web.example.com"),
        ("web", ["web", "web.example.com"], "web"),
        ("web", ["web2.example.com"], None),
        ("web", [], None),
        ("web", ["web.example.com", OLD], "web.example.com"),
        ("web", [OLD, TWIN], "web.example.com"),  # between the two renames of a move within the cluster
        ("web.example.com", [OLD, TWIN], "web.example.com"),
        (OLD, ["web.example.com", OLD], OLD),
    ],
)
def test_what_a_name_means(name, existing, meant):
    assert naming.expand(name, existing) == meant


def test_a_name_that_could_mean_two_is_refused():
    with pytest.raises(InvalidInput, match=r"web could be web.a or web.b: give its name in full\."):
        naming.expand("web", ["web.a", "web.b"])


@given(LABELS, st.lists(LABELS))
def test_the_meaning_is_one_that_exists_and_begins_with_the_labels(name, existing):
    try:
        meant = naming.expand(name, existing)
    except InvalidInput:
        return
    assert meant is None or (meant in existing and f"{meant}.".startswith(f"{name}."))
    assert meant == name or name not in existing


@pytest.mark.parametrize(
    ("changes", "here", "there", "wanted"),
    [
        ({"name": "web"}, ["web.example.com"], [], ("web.example.com", "web.example.com")),
        ({"name": "web"}, [], ["web.example.com"], ("web.example.com", "web.example.com")),  # moved before, the source removed
        ({"name": "web"}, [], [], ("web", "web")),
        ({"name": "web", "destination_name": "www"}, ["web.example.com"], [], ("web.example.com", "www")),
        ({"name": "web", "destination_name": "www"}, ["web.example.com"], ["www.example.com"], ("web.example.com", "www.example.com")),
    ],
)
def test_both_names_are_in_full(changes, here, there, wanted):
    full = full_names(options(**changes), here, there, [])
    assert (full.name, full.destination_name) == wanted


def test_nodes_are_named_in_full():
    assert full_names(options(primary_node="b2"), [], [], ["b1.example.com", "b2.example.com"]).primary_node == "b2.example.com"
    assert full_names(options(primary_node="b9"), [], [], ["b1.example.com"]).primary_node == "b9"


class Expanding:
    """A cluster that answers for a short name with the instance it stands for, as Ganeti does."""

    def query(self, what, fields, qfilter=None):
        return [{**dict.fromkeys(fields), "name": OLD}]


def test_an_instance_is_the_one_of_that_very_name():
    assert facts.instance(Expanding(), "web.example.com") is None
    assert facts.instance(Expanding(), OLD).name == OLD
