# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A master's files, and a storage without any."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.disk import DiskStorage

from .samples import CONFIGURATION, job


def ganeti(directory):
    """The files of a master."""
    (directory / "queue/archive/0").mkdir(parents=True)
    (directory / "queue/archive/2").mkdir()
    (directory / "config.data").write_text(json.dumps(CONFIGURATION))
    for number, place in ((7, "."), (20005, "."), (3, "archive/0"), (20001, "archive/2")):
        (directory / "queue" / place / f"job-{number}").write_text(json.dumps(job(number)))
    (directory / "queue/serial").write_text("20005\n")
    for name in ("lock", "version", "job-9.new", "job-x"):
        (directory / "queue" / name).write_text("")
    (directory / "ssconf_node_list").write_text("a1.lab.example\n")
    (directory / "ssconf_cluster_tags").write_text("")
    return DiskStorage(str(directory))


@pytest.fixture
def master(tmp_path):
    """A master's storage."""
    return ganeti(tmp_path / "master")


@pytest.fixture
def empty(tmp_path):
    """A storage with nothing in it."""
    (tmp_path / "standby/queue/archive").mkdir(parents=True)
    return DiskStorage(str(tmp_path / "standby"))
