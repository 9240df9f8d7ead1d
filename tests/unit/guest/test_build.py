# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the tests' guest is put together: which modules, in which order, and the archive's bytes."""

from __future__ import annotations

import importlib.util
import lzma
import sys
import typing as t
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "tests/guest/build"


@pytest.fixture(scope="module")
def build() -> t.Iterator[t.Any]:
    """The script, as a module."""
    loader = SourceFileLoader("guest_build", str(SCRIPT))
    spec = importlib.util.spec_from_loader("guest_build", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    sys.modules["guest_build"] = module
    loader.exec_module(module)
    yield module
    del sys.modules["guest_build"]


def module(depends: str) -> bytes:
    """What a module's file holds about itself."""
    return b"\x7fELF...\0license=GPL\0depends=" + depends.encode() + b"\0retpoline=Y\0"


TREE = {
    "lib/modules/6/modules.builtin": b"kernel/drivers/base/virtio-ring.ko\n",
    "lib/modules/6/kernel/a/virtio_blk.ko": module("virtio,virtio_ring"),
    "lib/modules/6/kernel/a/virtio.ko.xz": lzma.compress(module("dash-ed")),
    "lib/modules/6/kernel/b/dash-ed.ko": module(""),
    "lib/modules/6/kernel/b/unwanted.ko": module("dash-ed"),
}


def test_a_module_comes_behind_what_it_needs_and_built_in_ones_not_at_all(build):
    found = build.modules(TREE, ("virtio_blk", "virtio_ring", "virtio"))
    assert [name for name, _content in found] == ["lib/dash_ed.ko", "lib/virtio.ko", "lib/virtio_blk.ko"]
    assert dict(found)["lib/virtio.ko"] == module("dash-ed")


def test_a_module_that_is_not_there_is_named(build):
    with pytest.raises(build.Failure, match="no module virtio_scsi"):
        build.modules(TREE, ("virtio_scsi",))


def test_the_order_of_the_packages_files_does_not_matter(build):
    wanted = {"virtio_blk": "", "virtio": "first=1"}
    backwards = dict(reversed(list(TREE.items())))
    made = build.archive(build.ramdisk(b"program", TREE, wanted))
    assert made == build.archive(build.ramdisk(b"program", backwards, wanted))
    assert b"/lib/dash_ed.ko\n/lib/virtio.ko first=1\n/lib/virtio_blk.ko\n" in made


def unpacked(archive: bytes) -> t.Dict[str, t.Tuple[t.List[int], bytes]]:
    """The fields and the content of an archive's files: an own reading of the format, as the kernel's documentation has it."""
    files, at = {}, 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        begin = (at + 110 + fields[11] + 3) // 4 * 4
        name = archive[at + 110 : at + 110 + fields[11] - 1].decode()
        if name == "TRAILER!!!":
            return files
        files[name] = (fields, archive[begin : begin + fields[6]])
        at = (begin + fields[6] + 3) // 4 * 4


def test_the_archive_has_nothing_of_the_time_or_of_who_made_it(build):
    files = unpacked(build.archive(build.ramdisk(b"pro", TREE, {"virtio_blk": ""})))
    assert list(files) == ["dev", "dev/console", "init", "lib", "lib/dash_ed.ko", "lib/virtio.ko", "lib/virtio_blk.ko", "modules", "proc"]
    assert {tuple(fields[2:4]) + (fields[5],) for fields, _content in files.values()} == {(0, 0, 0)}
    assert files["init"][0][1] == 0o100755 and files["init"][1] == b"pro"
    assert files["dev/console"][0][1] == 0o020600 and files["dev/console"][0][9:11] == [5, 1]
    assert len({fields[0] for fields, _content in files.values()}) == len(files), "two files with one inode are one file"
