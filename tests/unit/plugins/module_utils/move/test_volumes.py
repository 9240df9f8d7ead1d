# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disks: what their templates have beside size, mode and name comes along."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.move import configuration, facts, plan, volumes
from ansible_collections.ganeti.cluster.plugins.module_utils.move.facts import InstanceDisk

from .samples import MOVE, info, options, source

FILE = InstanceDisk(64, "ro", None, "/srv/files/web/u.file.disk0", "u1", "file", ("loop", "/srv/files/web/u.file.disk0"))
EXT = InstanceDisk(64, "rw", "data", None, "u2", "ext", ("loopdev", "u2.ext.disk0"))

RO, DATA = {"size": 64, "mode": "ro"}, {"size": 64, "mode": "rw", "name": "data"}


@pytest.mark.parametrize(
    ("disk", "own", "changes", "wanted"),
    [
        (FILE, {}, {}, {"size": 64, "mode": "ro"}),
        (FILE, {}, {"disk_template": "ext", "ext_params": {"provider": "loopdev", "pool": "b"}}, {**RO, "provider": "loopdev", "pool": "b"}),
        (EXT, {"provider": "loopdev", "pool": "a"}, {}, {**DATA, "provider": "loopdev", "pool": "a"}),
        (EXT, {"access": "userspace"}, {}, {**DATA, "provider": "loopdev", "access": "userspace"}),
        (EXT, {"pool": "a"}, {"ext_params": {"pool": "b"}}, {**DATA, "provider": "loopdev", "pool": "b"}),
        (EXT, {"pool": "a"}, {"ext_params": {"provider": "san", "tier": "1"}}, {**DATA, "provider": "san", "tier": "1"}),
        (EXT, {"pool": "a"}, {"disk_template": "file"}, DATA),
        (EXT, {}, {"disk_template": "sharedfile"}, DATA),
    ],
)
def test_what_the_destination_gets(disk, own, changes, wanted):
    given = source(disk_template=disk.template)._replace(disks=(disk,), disk_params={disk.uuid: own})
    made = plan.creation(given, info(), options(**changes), MOVE, False)
    assert made["disks"] == [wanted] and made["disk_template"] == changes.get("disk_template", disk.template)


def test_spindles_come_along_where_they_count():
    disk = InstanceDisk(64, "rw", None, None, "u", "plain", ("xenvg", "lv"), 2)
    assert volumes.stated(disk, "plain", {}, {}, info(ndparams={"exclusive_storage": True})) == {"size": 64, "mode": "rw", "spindles": 2}
    assert volumes.stated(disk, "plain", {}, {}, info(ndparams={"exclusive_storage": False})) == {"size": 64, "mode": "rw"}


@pytest.mark.parametrize(
    ("logical_id", "template", "wanted"),
    [
        (("loop", "/srv/files/web/u.disk0"), "file", {}),
        (("blktap", "/srv/files/web/u.disk0"), "file", {"file_driver": "blktap"}),
        (("loop", "/srv/files/fast/ssd/web/u.disk0"), "sharedfile", {"file_storage_dir": "fast/ssd"}),
        (("loop", "/elsewhere/web/u.disk0"), "file", {}),
        (("blktap", "/srv/files/fast/web/u.disk0"), "ext", {}),
    ],
)
def test_files_keep_their_driver_and_folder(logical_id, template, wanted):
    assert volumes.of_files([FILE._replace(logical_id=logical_id)], template, {"file_storage_dir": "/srv/files"}) == wanted


ROW = {"size": 64, "mode": "rw", "name": None, "uuid": "u", "spindles": None}


@pytest.mark.parametrize(
    ("row", "file", "logical_id"),
    [
        ({"dev_type": "file", "logical_id": ["loop", "/srv/x"]}, "/srv/x", ("loop", "/srv/x")),
        ({"dev_type": "sharedfile", "logical_id": ["loop", "/srv/x"]}, "/srv/x", ("loop", "/srv/x")),
        ({"dev_type": "ext", "logical_id": ["loopdev", "v"]}, None, ("loopdev", "v")),
        ({"dev_type": "plain", "logical_id": ["xenvg", "v"]}, None, ("xenvg", "v")),
        ({"dev_type": "drbd", "logical_id": ["n1", "n2", 11000, 0, 0, None], "children": [{"logical_id": ["xenvg", "v"]}, {}]}, None, ("xenvg", "v")),
    ],
)
def test_disks_are_read_as_ganeti_tells_them(row, file, logical_id):
    (disk,) = facts.described_disks({"disks": [{**ROW, **row}]})
    assert (disk.file, disk.logical_id, disk.template, disk.uuid) == (file, logical_id, row["dev_type"], "u")


CONFIG = {
    "cluster": {"osparams_private_cluster": {"debian": {"token": "base", "key": "base"}, "debian+default": {"key": "variant"}}},
    "instances": {"i1": {"name": "web", "os": "debian+default", "osparams_private": {"password": 1}, "disks": ["u2", "u3"]}},
    "disks": {
        "u2": {**ROW, "uuid": "u2", "dev_type": "ext", "logical_id": ["loopdev", "v"], "params": {"provider": "loopdev", "pool": "a"}},
        "u3": {"uuid": "u3", "dev_type": "file", "logical_id": ["loop", "/srv/x"], "size": 64, "mode": "rw"},
    },
}


def test_the_configuration_tells_what_no_interface_does():
    found = configuration.hidden(CONFIG, "i1")
    assert found.private == {"token": "base", "key": "variant", "password": "1"}
    assert found.disk_params == {"u2": {"provider": "loopdev", "pool": "a"}, "u3": {}}
    assert [(disk.uuid, disk.size, disk.file, disk.logical_id) for disk in found.disks] == [
        ("u2", 64, None, ("loopdev", "v")),
        ("u3", 64, "/srv/x", ("loop", "/srv/x")),
    ]


@pytest.mark.parametrize("row", [{}, {"dev_type": "file"}, {**ROW, "dev_type": "drbd", "logical_id": [], "children": [{}]}, 7])
def test_disks_that_are_described_in_another_way_are_refused(row):
    with pytest.raises(GanetiError, match="does not describe the disks of web as this collection knows it"):
        configuration.hidden({**CONFIG, "disks": {"u2": row, "u3": row}}, "i1")


@pytest.mark.parametrize("config", [{}, [], None, {"instances": []}, {"instances": {"i1": 7}}, {**CONFIG, "instances": {}}])
def test_another_configuration_is_refused(config):
    with pytest.raises(GanetiError, match="does not hold the instance i1"):
        configuration.hidden(config, "i1")


@pytest.mark.parametrize(
    ("status", "disks", "paths"),
    [
        ("running", (FILE, EXT), [(FILE.file, FILE.bytes), ("/var/run/ganeti/instance-disks/web.example.com:1", EXT.bytes)]),
        ("ADMIN_down", (FILE, EXT), [(FILE.file, FILE.bytes)]),
        ("ADMIN_down", (EXT,), []),
        ("ERROR_nodedown", (EXT,), []),
    ],
)
def test_which_disks_can_be_measured(status, disks, paths):
    assert plan.paths(source(status=status)._replace(disks=disks)) == paths
