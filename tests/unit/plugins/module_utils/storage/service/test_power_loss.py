# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is left when the power fails at any moment: out of a record of what was written, named and synced, and in which order.

A name that was given counts from when its directory was synced, a content from when its file was; before, either may be there or not, and a file be empty.
"""

from __future__ import annotations

import os
import stat
import typing as t

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils import _files
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.conversion import convert
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import promote, promotion_mark, taken_over, unused_epoch

from ..conftest import ganeti
from ..samples import cluster, configuration, job


class Content:
    """What a name leads to: None where it leads to nothing, and whether the content is on the disk."""

    def __init__(self, data: t.Optional[bytes], synced: bool) -> None:
        self.data, self.synced = data, synced

    def possible(self) -> t.Set[t.Optional[bytes]]:
        """What may be found there."""
        return {self.data} if self.synced or self.data is None else {self.data, b""}


class Disk:
    """A record of a disk; *look* is called whenever something has changed on it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.look: t.Callable[[], None] = lambda: None
        self._durable: t.Dict[str, Content] = {}
        self._pending: t.Dict[str, t.List[Content]] = {}
        self._synced: t.Set[int] = set()
        self._calls = {name: getattr(os, name) for name in ("rename", "replace", "unlink")}
        for name in ("rename", "replace"):
            patch.setattr(os, name, lambda source, target, name=name: self._name(name, source, target))
        patch.setattr(os, "unlink", self._unlink)
        patch.setattr(os, "fsync", self._fsync)
        patch.setattr(os, "sync", self._sync)

    def paths(self) -> t.Set[str]:
        """All names that were given or taken."""
        return self._durable.keys() | self._pending.keys()

    def possible(self, path: t.Any) -> t.Set[t.Optional[bytes]]:
        """What may be found under a name when the power has failed now."""
        last = [self._durable[str(path)]] if str(path) in self._durable else []
        return {data for each in [*last, *self._pending.get(str(path), [])] for data in each.possible()}

    def certain(self, path: t.Any) -> bool:
        """Whether that is one thing alone."""
        return len(self.possible(path)) == 1

    def open(self) -> t.List[str]:
        """The names of which it is not certain."""
        return sorted(path for path in self.paths() if not self.certain(path))

    def _was(self, path: str) -> None:
        """What was there before anything of this: on the disk."""
        if path not in self._durable:
            self._durable[path] = Content(_read(path), True)

    def _name(self, how: str, source: t.Any, target: t.Any) -> None:
        source, target = str(source), str(target)
        self._was(target)
        inode = os.stat(source).st_ino
        self._pending.setdefault(target, []).append(Content(_read(source), inode in self._synced))
        self._synced.discard(inode)
        self._calls[how](source, target)
        self.look()

    def _unlink(self, path: t.Any) -> None:
        self._was(str(path))
        self._calls["unlink"](path)
        self._pending.setdefault(str(path), []).append(Content(None, True))
        self.look()

    def _fsync(self, descriptor: int) -> None:
        state = os.fstat(descriptor)
        if stat.S_ISDIR(state.st_mode):
            self._settle(path for path in self._pending if os.path.samestat(os.stat(os.path.dirname(path)), state))
        else:
            self._synced.add(state.st_ino)
        self.look()

    def _sync(self) -> None:
        for each in [*self._durable.values(), *(each for contents in self._pending.values() for each in contents)]:
            each.synced = True
        self._settle(self._pending)
        self.look()

    def _settle(self, paths: t.Iterable[str]) -> None:
        for path in list(paths):
            self._durable[path] = self._pending.pop(path)[-1]


def _read(path: str) -> t.Optional[bytes]:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


@pytest.fixture
def disk(monkeypatch):
    """The disk of this test."""
    return Disk(monkeypatch)


def test_a_file_that_is_replaced_is_the_old_one_or_the_new_one_at_each_moment(disk, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"old")
    seen = []
    disk.look = lambda: seen.append(disk.possible(file))
    _files.replace(str(file), b"new", 0o600)
    assert seen[-1] == {b"new"} and all(each <= {b"old", b"new"} for each in seen), "there for good when it returns"
    _files.replace(str(file), b"newer", 0o600, durable=False)
    assert seen[-1] == {b"new", b"newer", b""}, "this needs a sync"
    os.sync()
    assert seen[-1] == {b"newer"}


def test_a_promotion_leaves_what_can_be_repeated(disk, couch, master, certificate, tmp_path):
    """The mark is there for good before anything else may be, and the configuration may be there when all the others are for good."""
    convert(master, couch)
    couch.write_configuration(cluster())
    directory = tmp_path / "standby"
    (directory / "queue/archive").mkdir(parents=True)
    os.rename(certificate[0], directory / "client.pem")
    mark, config = str(directory / "promotion-unfinished"), str(directory / "config.data")
    looks = []

    def look():
        looks.append(disk.possible(mark))
        files = [path for path in disk.paths() if path.startswith(str(directory / "queue"))]
        began = [path for path in files if disk.possible(path) != {None}]
        if None in disk.possible(mark):
            assert not began or all(map(disk.certain, [*files, config])), "not begun, or done"
        if disk.possible(config) - {None}:
            assert disk.certain(directory / "epoch-begun") and None not in disk.possible(directory / "epoch-begun")
            assert all(disk.certain(path) for path in files if "archive" not in path)

    disk.look = look
    promote.promote(couch, str(directory), promote.Request("a2", ["a1"], 20))
    assert not disk.open() and None not in looks[-1]
    promote.archive(couch, str(directory))
    assert not disk.open() and looks[-1] == {None}
    assert len(looks) > 10


def test_what_an_epoch_is_begun_of_is_kept_before_it_is_begun(disk, tmp_path):
    directory = tmp_path / "master"
    ganeti(directory)
    begun = directory / "epoch-begun"
    kept, config = os.path.join(unused_epoch.place(str(directory)), "config.data"), str(directory / "config.data")

    def look():
        if len(disk.possible(config)) > 1:
            for path in (kept, begun):
                assert disk.certain(path) and None not in disk.possible(path)

    disk.look = look
    promote.reserve(str(directory), promote.Request("a1.lab.example", [], 20, 20006))
    assert not disk.open() and {kept, config} <= disk.paths()


def test_what_is_taken_over_is_there_for_good_before_the_database_hears_of_it(disk, tmp_path):
    directory = tmp_path / "master"
    files = ganeti(directory)
    files.write_configuration(configuration(21))
    taken_over.keep(str(directory), {4: job(4), 20099: job(20099)})
    assert not disk.open() and len([path for path in disk.paths() if "queue" in path]) == 2


def test_a_mark_is_there_for_good_and_gone_for_good(disk, tmp_path):
    mark = tmp_path / "promotion-unfinished"
    promotion_mark.begin(str(tmp_path))
    assert disk.certain(mark) and disk.possible(mark) != {None}
    with promotion_mark.finishing(str(tmp_path), wait=True):
        assert disk.certain(mark)
    assert disk.possible(mark) == {None}
