# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records of moves: one run at a time writes one, and nobody keeps them for ever."""

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.move.journal import Journal, prune

DAY = 86400


@pytest.fixture
def record(tmp_path):
    """Makes the record of a move whose last step is so many days old; its name."""

    def make(name, days):
        journal = Journal(str(tmp_path), "alpha", name, "beta")
        journal.begin("0123456789abcdef")
        journal.close()
        then = time.time() - days * DAY
        os.utime(journal.path, (then, then))
        return os.path.basename(journal.path)

    return make


def test_old_records_go_with_their_locks_and_new_ones_stay(tmp_path, record):
    new, old = record("new", 89), record("old", 91)
    assert prune(str(tmp_path), time.time()) == [str(tmp_path / old)]
    assert sorted(os.listdir(tmp_path)) == [new, new + ".lock"]


def test_a_new_record_tidies_up(tmp_path, record):
    old = record("old", 91)
    Journal(str(tmp_path), "alpha", "another", "beta").close()
    assert not (tmp_path / old).exists()


def test_what_is_not_a_record_or_is_in_use_stays(tmp_path, record):
    (tmp_path / "notes.json").write_text("")
    (tmp_path / "a--b--c.txt").write_text("")
    os.symlink("/etc/passwd", tmp_path / "a--b--c.json")
    for name in ("notes.json", "a--b--c.txt"):
        os.utime(tmp_path / name, (0, 0))
    used = record("used", 91)
    os.utime(tmp_path / used)
    journal = Journal(str(tmp_path), "alpha", "used", "beta")
    os.utime(tmp_path / used, (0, 0))
    before = sorted(os.listdir(tmp_path))
    assert prune(str(tmp_path), time.time()) == [] and sorted(os.listdir(tmp_path)) == before
    journal.close()


def test_one_run_at_a_time(tmp_path):
    first = Journal(str(tmp_path), "alpha", "web", "beta")
    with pytest.raises(GanetiError, match="has lost its lease still has the journal .*: end it"):
        Journal(str(tmp_path), "alpha", "web", "beta")
    first.close()
    Journal(str(tmp_path), "alpha", "web", "beta").close()


def test_no_directory_is_nothing_to_tidy(tmp_path):
    assert prune(str(tmp_path / "absent"), time.time()) == []


def test_a_full_disk_is_noted_and_ends_nothing(tmp_path, monkeypatch):
    journal = Journal(str(tmp_path), "alpha", "web", "beta")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    journal.begin("0123456789abcdef")
    assert journal.problem == f"The record of the move in {journal.path} is not complete: No space left on device."
    journal.close()


def test_a_directory_that_cannot_be_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(GanetiError, match="cannot be kept in .*file/below: Not a directory. Set journal_directory"):
        Journal(str(tmp_path / "file/below"), "alpha", "web", "beta")
