# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real guests under real Ganeti: their log outlives shutdowns, deaths and moves, as they tell themselves."""

from __future__ import annotations

import pytest

from .guest import Guest


@pytest.mark.parametrize(("cluster", "template"), [("alpha", "ext"), ("beta", "file")])
def test_a_guest_outlives_a_shutdown_and_a_death(lab, name, way, cluster, template):
    guest = Guest(lab, name, cluster)
    guest.create(template, "64M", node=way.source if cluster == "alpha" else way.destination, rate=400)
    first = guest.start()
    assert first["new"] and first["disks"] == 1
    filled = guest.ask("fill 10")
    assert filled["ok"] and guest.verify()["digest"] == filled["digest"]

    with guest.watched() as watch:
        guest.shut_down()
        mark = watch.mark()
    assert watch.stopped(), "Ganeti's power button did not reach it"
    assert lab.fields(cluster, name, "status") == ["ADMIN_down"]
    again = guest.start()
    assert again["stopped"] and again["last"] == mark.last and again["digest"] == filled["digest"]
    guest.nothing_lost(mark)

    assert guest.ask("free")["ok"]
    with guest.watched() as watch:
        watch.wait_for("wrote")
        guest.kill()
        mark = watch.mark()
    assert not watch.stopped() and lab.fields(cluster, name, "status") == ["ERROR_down"]
    guest.shut_down()
    guest.start()
    assert not guest.nothing_lost(mark)["stopped"]


@pytest.mark.parametrize(("source", "template", "destination", "becomes"), [("alpha", "ext", "beta", "file"), ("beta", "file", "alpha", "ext")])
def test_a_running_guest_arrives_with_all_that_it_acknowledged(lab, name, way, move, source, template, destination, becomes):
    """From either release to the other, from block devices to files and back."""
    nodes = {"alpha": way.source, "beta": way.destination}
    guest = Guest(lab, name, source)
    guest.create(template, "64M", "16M", node=nodes[source], rate=400)
    guest.start()
    filled = guest.ask("fill 4")
    with guest.watched() as watch:
        moved = move(
            source=lab.side(source), destination=lab.side(destination), primary_node=f"{nodes[destination]}.lab.example",
            disk_template=becomes, ext_params={"provider": lab.description["ext_provider"]} if becomes == "ext" else {},
        ).result()  # fmt: skip
        mark = watch.mark()
    assert moved["changed"] and not moved["failed"], moved
    assert watch.stopped(), "it was not shut down in order"
    assert lab.fields(destination, name, "disk_template") == [becomes]
    found = guest.at(destination).nothing_lost(mark)
    assert found["stopped"] and found["last"] == mark.last and found["disks"] == 2
    assert found["digest"] == filled["digest"]
