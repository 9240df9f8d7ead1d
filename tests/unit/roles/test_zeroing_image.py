# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the zeroing helper is made of: which modules of a kernel in which order, and an archive that is always the same."""

from __future__ import annotations

import importlib.util
import lzma
from pathlib import Path

import pytest

BUILD = Path(__file__).resolve().parents[3] / "roles/zeroing_image/files/build.py"


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("zeroing_build", BUILD)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def module(**described):
    """The file of a module that describes itself so."""
    return b"\x7fELF\0" + b"".join(f"{key}={value}\0".encode() for key, value in described.items())


@pytest.fixture
def kernel(build, tmp_path):
    """A kernel with modules as Debian's: plain and compressed ones, some that are built in, and what goes by another name."""
    files = {
        "kernel/fs/xfs/xfs.ko": module(depends="libcrc32c"),
        "kernel/fs/btrfs/btrfs.ko.xz": module(depends="raid6_pq,xor", softdep="pre: crc32c xxhash64 missing-one"),
        "kernel/lib/libcrc32c.ko": module(depends="", softdep="pre: crc32c post: xfs"),
        "kernel/lib/raid6/raid6_pq.ko": module(depends=""),
        "kernel/crypto/xor.ko": module(depends=""),
        "kernel/crypto/crc32c_generic.ko": module(alias="crc32c", depends=""),
        "kernel/arch/x86/crypto/crc32c-intel.ko": module(alias="crc32c", depends=""),
        "kernel/fs/broken.ko": module(depends="nowhere"),
        "kernel/fs/other.ko.zst": b"",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lzma.compress(content) if name.endswith(".xz") else content)
    (tmp_path / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\nkernel/drivers/virtio/virtio-pci.ko\n")
    (tmp_path / "modules.builtin.modinfo").write_bytes(b"ext4.license=GPL\0xxhash_generic.alias=xxhash64\0")
    return build.Kernel(tmp_path)


@pytest.mark.parametrize(
    "name, order",
    [
        ("ext4", []), ("virtio_pci", []), ("xor", ["xor"]), ("xfs", ["crc32c_generic", "libcrc32c", "xfs"]),
        ("btrfs", ["crc32c_generic", "raid6_pq", "xor", "btrfs"]),
    ],
)  # fmt: skip
def test_a_module_comes_behind_what_it_needs(kernel, name, order):
    assert kernel.order(name) == order


def test_a_module_is_unpacked(kernel):
    assert kernel.content("btrfs").startswith(b"\x7fELF")


@pytest.mark.parametrize("name, words", [("gone", "no module gone"), ("broken", "no module nowhere"), ("other", "not known here")])
def test_what_cannot_be_had_is_named(build, kernel, name, words):
    with pytest.raises(build.Failure, match=words):
        kernel.order(name)


def test_the_archive_is_the_same_whatever_the_order(build):
    entries = {"init": build.Entry(0o100755, b"#!"), "dev": build.Entry(0o040755), "dev/console": build.Entry(0o020600, device=(5, 1))}
    archive = build.archive(entries)
    assert archive == build.archive(dict(reversed(entries.items())))
    assert [archive.index(name) for name in (b"dev\0", b"dev/console\0", b"init\0", b"TRAILER!!!")] == sorted(
        archive.index(name) for name in (b"dev\0", b"dev/console\0", b"init\0", b"TRAILER!!!")
    )
    assert len(archive) % 4 == 0 and archive.count(b"070701") == 4


def test_the_helper_is_in_it_and_what_it_calls_is_packed(build):
    text = BUILD.with_name("zeroing-helper.sh").read_text()
    assert build.skeleton()["init"].content == text.encode()
    packed = {name for names in build.PROGRAMS.values() for name in names}
    assert {"fstrim", "blkdiscard", "blockdev", "blkid"} == {name for name in packed if f"/usr/sbin/{name} " in text}
    assert build.LABEL in text and f"{build.SERIAL[:4]}-{build.SERIAL[4:]}".upper() in text
    asked = {word for line in text.splitlines() for word in line.split("load ")[1:2]}
    assert {name for words in asked for name in words.replace(";", "").split() if name.replace("_", "").isalnum()} <= {*build.MODULES, "#"}
