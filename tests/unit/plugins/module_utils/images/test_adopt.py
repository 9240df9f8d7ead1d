# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images adopted: what they become, what is refused, and what is left behind in each case."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import struct
import subprocess
import time

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError, ImageFailed, ImageRefused, InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils.images import adopt as adopting
from ansible_collections.ganeti.cluster.plugins.module_utils.images import look as looking
from ansible_collections.ganeti.cluster.plugins.module_utils.images import qemu, raw, sandbox, target
from ansible_collections.ganeti.cluster.plugins.module_utils.images import tell as telling

from . import samples
from .samples import CLUSTER, MIB

FORMATS = {
    "qcow2": (), "qcow2 compat": ("compat=0.10",), "qcow2 clusters": ("cluster_size=512",), "qcow2 parts": ("extended_l2=on", "cluster_size=128k"),
    "vmdk": (), "vmdk stream": ("subformat=streamOptimized",), "vmdk split": ("subformat=twoGbMaxExtentSparse",), "vmdk flat": ("subformat=monolithicFlat",),
    "vmdk flats": ("subformat=twoGbMaxExtentFlat",), "vdi": (), "vdi fixed": ("static=on",), "vhdx": (), "vpc": ("force_size=on",),
    "vpc fixed": ("subformat=fixed", "force_size=on"),
}  # fmt: skip


class Place:
    """A directory with an image, and runs of the module in it."""

    def __init__(self, path):
        self.path = path
        self.dest = path / "out" / "disk.raw"
        self.dest.parent.mkdir()

    def __call__(self, src="image", rehearse=False, **given):
        defaults = {"format": "auto", "method": "auto", "checksum": None, "compare": True, "mode": "0600", "owner": None, "group": None}
        return adopting.adopt({**defaults, "src": str(self.path / src), "dest": str(self.dest), **given}, rehearse)

    def twice(self, **given):
        """Rehearse, do it, and do it again, which changes nothing."""
        before = sorted(os.listdir(self.path))
        assert self(rehearse=True, **given)["changed"] and not self.dest.exists() and sorted(os.listdir(self.path)) == before
        first = self(**given)
        assert first["changed"] and not first["compared"]
        assert os.listdir(self.dest.parent) == [self.dest.name]
        state = self.dest.stat()
        again = self(**given)
        assert not again["changed"] and again["compared"] and self.dest.stat().st_mtime_ns == state.st_mtime_ns
        return first

    def refused(self, error, words, **given):
        """It says why, and leaves everything as it was."""
        before = self._state()
        with pytest.raises(error, match=words):
            self(**given)
        assert self._state() == before

    def _state(self):
        files = [path for path in self.path.rglob("*") if path.is_file() and not path.is_symlink()]
        return {str(path): (path.stat().st_ino, path.stat().st_size, path.stat().st_mtime_ns, path.stat().st_mode) for path in files}


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture
def source(place):
    """A raw image."""
    return samples.raw(place.path / "image")


@contextlib.contextmanager
def mounted(path, *options):
    """Something mounted there, and unmounted at the end."""
    path.mkdir()
    subprocess.run(["mount", *map(str, options), str(path)], check=True, capture_output=True, timeout=60)
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True, timeout=60)


# --- Raw images -------------------------------------------------------------------------------------------------------


def test_a_raw_image_is_copied_with_its_holes(place, source):
    content, stat = source.read_bytes(), source.stat()
    told = place.twice(method="copy", checksum="SHA256:" + hashlib.sha256(content).hexdigest())
    assert place.dest.read_bytes() == content == source.read_bytes() and samples.allocated(place.dest) <= samples.allocated(source)
    assert (told["format"], told["method"], told["size"], told["virtual_size"], told["gpt"]) == ("raw", "copy", 8 * MIB, 8 * MIB, None)
    assert told["allocated"] == samples.allocated(place.dest) and told["warnings"] == []
    assert told["diff"]["after"]["dest"] == {"path": str(place.dest), "size": 8 * MIB, "format": "raw", "mode": "0600"}
    assert place.dest.stat().st_mode & 0o777 == 0o600 and source.stat().st_ctime_ns == stat.st_ctime_ns


def test_a_size_becomes_whole_mib_and_its_partition_table_is_looked_at(place):
    size = 5 * MIB + 1536
    path = samples.raw(place.path / "image", size, [(MIB, 10_000)])
    with open(path, "r+b") as stream:
        stream.seek(512)
        stream.write(b"EFI PART" + bytes(16) + struct.pack("<QQ", 1, size // 512 - 1))
    told = place.twice()
    assert told["size"] == place.dest.stat().st_size == 6 * MIB and told["virtual_size"] == size
    assert told["gpt"] == {"backup": size - 512, "is_at_end": False} and f"sgdisk --move-second-header {place.dest}" in told["warnings"][0]
    assert place.dest.read_bytes() == path.read_bytes() + bytes(6 * MIB - size)


def test_a_raw_image_is_renamed_and_known_again_by_its_checksum(place):
    path = samples.raw(place.path / "image", 3 * MIB + 512, [(0, 70_000), (2 * MIB, 9)])
    content, number = path.read_bytes(), path.stat().st_ino
    checksum = "sha256:" + hashlib.sha256(content).hexdigest()
    rehearsed = place(rehearse=True, method="rename", checksum=checksum)
    assert rehearsed["changed"] and path.read_bytes() == content and rehearsed["diff"]["before"]["src"] == str(path)
    told = place(method="rename", checksum=checksum, mode="0640")
    assert told["changed"] and told["method"] == "rename" and not path.exists() and place.dest.stat().st_ino == number
    assert place.dest.read_bytes() == content.ljust(4 * MIB, b"\0") and place.dest.stat().st_mode & 0o777 == 0o640
    again = place(method="rename", checksum=checksum, mode="0640")
    assert not again["changed"] and again["compared"]
    place.refused(ImageRefused, "cannot be told whether .* was made of it. Say checksum, or say compare: false", method="rename")
    place.refused(ImageRefused, "has not got its checksum", method="rename", checksum="sha256:" + "0" * 64)
    kept = place(method="rename", compare=False, mode="0640")
    assert not kept["changed"] and not kept["compared"] and kept["format"] is None


@pytest.mark.parametrize("grown", [False, True])
def test_a_renaming_that_died_is_finished(place, grown):
    """It died once the size was rounded up, or once there were two names."""
    path = samples.raw(place.path / "image", 3 * MIB + 512, [(0, 70_000), (2 * MIB, 9)])
    checksum = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    os.truncate(path, 4 * MIB)
    if not grown:
        os.link(path, place.dest)
        place.refused(ImageRefused, "are the same file", method="copy")
    assert place(rehearse=True, method="rename", checksum=checksum)["changed"] and path.exists()
    told = place(method="rename", checksum=checksum)
    assert told["changed"] and not path.exists() and place.dest.stat().st_size == 4 * MIB and place.dest.stat().st_mode & 0o777 == 0o600
    assert not place(method="rename", checksum=checksum)["changed"]


def test_one_name_by_two_paths_is_no_renaming_that_died(place):
    """To remove one of them would remove the file."""
    samples.raw(place.dest)
    (place.path / "link").symlink_to("out")
    given = {"src": "link/disk.raw", "method": "rename"}
    place.refused(ImageRefused, "are one name of the same file", **given)
    place.refused(ImageRefused, "are one name of the same file", rehearse=True, **given)
    os.link(place.dest, place.path / "other")
    place.refused(ImageRefused, "are one name of the same file", **given)


def test_a_file_with_one_name_alone_keeps_it(place):
    """Whatever was thought of its other names before."""
    path = samples.raw(place.path / "image")
    with looking.look(str(path), "raw") as image, pytest.raises(ImageRefused, match="the only name of its file"):
        adopting._take_away(str(path), image.file)
    assert path.exists()


def test_a_renaming_is_finished_only_of_what_would_be_renamed(place, monkeypatch):
    path = samples.raw(place.path / "image")
    os.link(path, place.dest)
    place.refused(ImageRefused, "has not got the checksum", method="rename", checksum="sha256:" + "0" * 64)
    monkeypatch.setattr(looking, "is_written_by_qemu", lambda _descriptor: True)
    place.refused(ImageRefused, "open to write it", method="rename")
    monkeypatch.undo()
    samples.qcow2(path)
    place.refused(InvalidInput, "for raw images alone", method="rename")


def test_a_renaming_that_is_refused_leaves_the_size(place, monkeypatch):
    samples.raw(place.path / "image", 3 * MIB + 512, [(0, 70_000), (2 * MIB, 9)])
    os.link(place.path / "image", place.path / "other")
    place.refused(ImageRefused, "has 2 names", method="rename")
    (place.path / "other").unlink()

    def appears(*_words):
        raise FileExistsError

    monkeypatch.setattr(target, "_link", appears)
    with pytest.raises(ImageRefused, match="came to be while the image was read"):
        place(method="rename")
    assert (place.path / "image").stat().st_size == 3 * MIB + 512 and not place.dest.exists()


def test_what_is_there_is_compared_and_never_written_over(place, source):
    place.dest.write_bytes(source.read_bytes()[:-1] + b"x")
    place.refused(ImageRefused, "has other contents than .*; it was not touched")
    kept = place(compare=False, mode=f"{place.dest.stat().st_mode & 0o777:04o}")
    assert not kept["changed"] and not kept["compared"] and kept["size"] == 8 * MIB
    place.dest.unlink()
    place.dest.symlink_to("/etc/passwd")
    place.refused(ImageRefused, "is a symbolic link")
    place.dest.unlink()
    place.dest.mkdir()
    place.refused(ImageRefused, "is no regular file")


def test_rights_are_mended_and_nothing_else(place, source):
    place.dest.write_bytes(source.read_bytes())
    place.dest.chmod(0o644)
    rehearsed = place(rehearse=True, owner=str(os.getuid()), group=str(os.getgid()))
    assert rehearsed["changed"] and rehearsed["diff"] == {"before": {"mode": "0644"}, "after": {"mode": "0600"}} and place.dest.stat().st_mode & 0o777 == 0o644
    assert place()["changed"] and place.dest.stat().st_mode & 0o777 == 0o600 and not place()["changed"]


def test_what_a_run_left_that_died_is_cleared_away_and_a_living_one_is_not(place, source):
    left = place.dest.parent / ".disk.raw.adopting"
    left.write_bytes(b"half")
    with open(left, "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        place.refused(ImageFailed, "Another run is making", method="copy")
    assert place(method="copy")["changed"] and not left.exists() and place.dest.read_bytes() == source.read_bytes()
    place.dest.unlink()
    left.symlink_to(source)
    place.refused(ImageRefused, "is in the way", method="copy")


def test_a_second_name_is_taken_from_what_is_there_and_not_from_another(place, source):
    """A run died when the file had its name, and the one that it had before as well."""
    place.dest.write_bytes(source.read_bytes())
    place.dest.chmod(0o600)
    left = place.dest.parent / ".disk.raw.adopting"
    os.link(place.dest, left)
    assert not place(rehearse=True)["changed"] and left.exists()
    assert not place()["changed"] and not left.exists() and place.dest.stat().st_nlink == 1
    left.write_bytes(b"of a run that is at work")
    assert not place()["changed"] and left.exists()


def test_what_another_run_has_begun_meanwhile_is_not_cleared_away(place, source, monkeypatch):
    left = place.dest.parent / ".disk.raw.adopting"
    left.write_bytes(b"half")
    flock = fcntl.flock

    def late(descriptor, operation):
        if operation & fcntl.LOCK_NB:
            left.unlink()
            left.write_bytes(b"of another run")
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(ImageFailed, match="Another run is making"):
        place(method="copy")
    assert left.read_bytes() == b"of another run" and not place.dest.exists()


def test_an_image_that_changes_meanwhile_is_not_adopted(place, source, monkeypatch):
    copy = raw.copy

    def disturbed(*words):
        copy(*words)
        with open(source, "r+b") as stream:
            stream.write(b"other")

    monkeypatch.setattr(raw, "copy", disturbed)
    with pytest.raises(ImageRefused, match="was written while it was read"):
        place(method="copy")
    assert os.listdir(place.dest.parent) == []


@pytest.mark.parametrize("gone", [False, True])
def test_a_file_that_is_written_while_it_is_compared_is_not_said_to_be_the_same(place, source, monkeypatch, gone):
    content = source.read_bytes()
    place.dest.write_bytes(content)
    if gone:
        source.unlink()
    name = "has_digest" if gone else "same"
    compare = getattr(raw, name)

    def disturbed(*words):
        found = compare(*words)
        with open(place.dest, "r+b") as stream:
            stream.write(b"other")
        return found

    monkeypatch.setattr(raw, name, disturbed)
    with pytest.raises(ImageRefused, match="was written while it was compared"):
        place(checksum="sha256:" + hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("method", ["copy", "rename"])
def test_an_image_that_is_open_to_be_written_is_left_alone(place, source, monkeypatch, method):
    """Also where that begins while it is read: what is written through a mapping shows no time of change at once."""
    with open(source, "r+b"):
        place.refused(ImageRefused, "a program has .* open to write it", method=method)
        told = telling.tell({"path": str(source), "format": "auto"})["image"]
        assert not told["adoptable"] and "open to write it" in told["problems"][0]
    rounded = raw.rounded
    with contextlib.ExitStack() as late:
        monkeypatch.setattr(raw, "rounded", lambda size: [late.enter_context(open(source, "r+b")), rounded(size)][1])
        place.refused(ImageRefused, "a program has .* open to write it", method=method)
    monkeypatch.undo()
    assert place(method=method)["changed"]


def test_a_file_system_without_leases_says_nothing(source, monkeypatch):
    def none(*_words):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(fcntl, "fcntl", none)
    with open(source, "r+b") as stream:
        assert not raw.is_written(stream.fileno())


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"src": "../image"}, InvalidInput, "use the absolute path of a file"),
        ({"src": "/no/such/image"}, ImageFailed, "is not there, and .* is not either"),
        ({"dest": "disk.raw"}, InvalidInput, "dest is 'disk.raw'"),
        ({"dest": "/no/such/directory/disk.raw"}, ImageFailed, "The directory of .* cannot be opened"),
        ({"checksum": "md5:0"}, InvalidInput, "checksum is 'md5:0'"),
        ({"checksum": "sha256:" + "0" * 64}, ImageRefused, "has not got the checksum"),
        ({"mode": "u=rw"}, InvalidInput, "mode is 'u=rw'"),
        ({"mode": "4755"}, InvalidInput, "mode is '4755'"),
        ({"owner": "no-such-user"}, InvalidInput, "no such user"),
        ({"owner": "\N{SUPERSCRIPT TWO}"}, InvalidInput, "no such user"),
        ({"owner": "a\0b"}, InvalidInput, "no such user"),
        ({"owner": "4294967295", "method": "rename"}, InvalidInput, "owner is 4294967295: the largest number is 4294967294"),
        ({"group": "99999999999999999999", "method": "rename"}, InvalidInput, "the largest number is 4294967294"),
        ({"group": "9" * 30}, InvalidInput, "no such user"),
        ({"src": ".disk.raw.adopting"}, InvalidInput, "the name that .* has while it is made"),
        ({"format": "qcow2"}, ImageRefused, "not qcow2: correct format"),
        ({"format": "qcow2", "method": "rename"}, InvalidInput, "for raw images alone"),
    ],
)
def test_what_makes_no_sense_is_refused(place, source, given, error, words):
    place.refused(error, words, **given)


def test_a_pipe_in_the_places_of_both_holds_nobody_up(place, source):
    os.mkfifo(place.path / "pipe")
    place.refused(ImageRefused, "no regular file", src="pipe")
    os.mkfifo(place.dest)
    place.refused(ImageRefused, "no regular file")


# --- With programs and file systems -----------------------------------------------------------------------------------


@pytest.mark.functional
@pytest.mark.parametrize("kind", FORMATS)
def test_an_image_of_each_format_becomes_a_raw_file_with_holes(place, kind):
    original = samples.raw(place.path / "original", 9 * MIB)
    samples.converted(original, place.path / "image", kind.split()[0], *FORMATS[kind])
    told = place.twice()
    assert place.dest.read_bytes() == original.read_bytes() and told["format"] == kind.split()[0] and told["method"] == "convert"
    assert samples.allocated(place.dest) == told["allocated"] <= samples.allocated(original) + 65536
    with open(place.dest, "r+b") as stream:
        stream.seek(9 * MIB - 1)
        stream.write(b"x")
    place.refused(ImageRefused, "has other contents")


@pytest.mark.functional
def test_the_disk_of_a_vhd_is_as_large_as_qemu_makes_it(place):
    samples.converted(samples.raw(place.path / "original", 9 * MIB), place.path / "image", "vpc")
    told = place.twice()
    assert told["virtual_size"] > 9 * MIB and told["size"] == 10 * MIB
    assert place.dest.read_bytes() == (place.path / "original").read_bytes() + bytes(MIB)


@pytest.mark.functional
def test_snapshots_are_left_out_with_a_warning(place):
    samples.converted(samples.raw(place.path / "original"), place.path / "image", "qcow2")
    samples.qemu_img("snapshot", "-c", "before", place.path / "image")
    told = place.twice(format="qcow2", checksum="sha256:" + hashlib.sha256((place.path / "image").read_bytes()).hexdigest())
    assert "has 1 snapshots, which a raw file cannot have" in told["warnings"][0]


@pytest.mark.functional
def test_what_leads_outside_is_refused(place):
    path = place.path / "image"
    base = samples.raw(place.path / "base")
    for words, options in (("its backing file '/etc/passwd'", ["-b", "/etc/passwd"]), ("its backing file 'base'", ["-b", "base"])):
        samples.qemu_img("create", "-q", "-f", "qcow2", *options, "-F", "raw", path)
        place.refused(ImageRefused, f"is not adopted: it refers to {words}")
    samples.qemu_img("create", "-q", "-f", "qcow2", "-o", f"data_file={place.path / 'data'},data_file_raw=on", path, "8M")
    place.refused(ImageRefused, "its data file '.*/data'")
    samples.descriptor(path, 'RW 4 FLAT "/etc/passwd" 0')
    place.refused(ImageRefused, "its extent '/etc/passwd', which is no plain name")
    samples.converted(base, path, "vmdk", "subformat=monolithicFlat")
    place.refused(InvalidInput, "checksum is of .* alone, which is in 2 files", checksum="sha256:" + "0" * 64)
    next(place.path.glob("image-flat*")).unlink()
    place.refused(ImageRefused, "its extent image-flat.* is not beside it")
    samples.converted(base, path, "vdi")
    place.refused(InvalidInput, "for raw images alone, and .* is of the format vdi", method="copy")


@pytest.mark.functional
def test_damage_that_only_qemu_finds_leaves_nothing(place):
    """Its tables of the second level are nonsense; the first level, and the header, are not."""
    path = samples.qcow2(place.path / "image", l1=[5 * CLUSTER | 1 << 63], clusters=8)
    with open(path, "r+b") as stream:
        stream.seek(5 * CLUSTER)
        stream.write(struct.pack(">3Q", (1 << 45) | 1 << 63, 1 << 62 | 7 * CLUSTER, 0x123457))
    place.refused(ImageRefused, "cut off, as some of its data is said to be behind the end")


@pytest.mark.functional
def test_a_small_image_of_a_huge_disk_meets_the_room_that_there_is(place):
    """Each of its clusters is the same one, so 2 GiB are in half a MiB."""
    path = samples.qcow2(place.path / "image", size=2 << 30, l1_size=4, l1=[5 * CLUSTER | 1 << 63] * 4, clusters=8)
    with open(path, "r+b") as stream:
        stream.seek(5 * CLUSTER)
        stream.write(struct.pack(">8192Q", *[6 * CLUSTER | 1 << 63] * 8192))
    with mounted(place.path / "small", "-t", "tmpfs", "-o", "size=16m", "none") as small:
        place.dest = small / "disk.raw"
        place.refused(ImageFailed, f"and {16 * MIB} are free")
        with pytest.raises(ImageFailed, match="no room"):
            place(rehearse=True)


@pytest.mark.functional
@pytest.mark.parametrize(("form", "kind"), [("vdi", 2), ("vmdk", "fixed")])
def test_no_image_says_itself_how_much_room_is_looked_for(place, form, kind):
    """Each block of its disk is the same one, and it says that they lie there as in the disk."""
    samples.qemu_img("create", "-q", "-f", form, place.path / "image", "1G")
    subprocess.run(["qemu-io", "-f", form, "-c", "write -P 165 0 64k", str(place.path / "image")], check=True, capture_output=True, timeout=60)
    data = bytearray((place.path / "image").read_bytes())
    if form == "vdi":
        struct.pack_into("<I", data, 0x4C, kind)
        struct.pack_into("<I", data, 0x184, 1024)
        struct.pack_into("<1024I", data, struct.unpack_from("<I", data, 0x154)[0], *[0] * 1024)
    else:
        _repeat_grain(data, kind)
    (place.path / "image").write_bytes(data)
    with mounted(place.path / "small", "-t", "tmpfs", "-o", "size=16m", "none") as small:
        place.dest = small / "disk.raw"
        place.refused(ImageFailed, "There is no room", rehearse=True)
        place.refused(ImageFailed, "There is no room")


def _repeat_grain(data, kind):
    """Have all entries of a sparse VMDK name the first grain, and its descriptor another kind."""
    _magic, _version, _flags, capacity, grain, at, size, entries, *directories = struct.unpack_from("<4sIIQQQQIQQ", data)
    tables = range(-(-capacity // (grain * entries)))
    for directory in directories:
        offsets = [struct.unpack_from("<I", data, directory * 512 + 4 * index)[0] * 512 for index in tables]
        first = struct.unpack_from("<I", data, offsets[0])[0]
        for offset in offsets:
            struct.pack_into(f"<{entries}I", data, offset, *[first] * entries)
    text = bytes(data[at * 512 : (at + size) * 512])
    changed = text.rstrip(b"\0").replace(b'createType="monolithicSparse"', f'createType="{kind}"'.encode())
    data[at * 512 : (at + size) * 512] = changed.ljust(len(text), b"\0")


@pytest.mark.functional
def test_a_flat_extent_that_is_named_often_takes_room_each_time(place):
    (place.path / "flat").write_bytes(b"x" * MIB)
    samples.descriptor(place.path / "image", *['RW 2048 FLAT "flat" 0'] * 64)
    with mounted(place.path / "small", "-t", "tmpfs", "-o", "size=16m", "none") as small:
        place.dest = small / "disk.raw"
        place.refused(ImageFailed, "There is no room")


@pytest.mark.functional
@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind not in ("vmdk stream", "vmdk flat", "vmdk flats")])
def test_an_image_that_was_cut_off_is_not_taken_for_one_that_ends_in_zeros(place, kind):
    """QEMU reads zeros there."""
    form = kind.split()[0]
    original = samples.raw(place.path / "original", 8 * MIB, [(0, 8 * MIB)])
    samples.converted(original, place.path / "image", form, *FORMATS[kind])
    cut = next(place.path.glob("image-s*"), place.path / "image")
    end = cut.stat().st_size - 100_000
    os.truncate(cut, end - end % 512)
    words = "cut off|qemu-img|it ends at|without any known mark"
    place.refused(GanetiError, words, format=form)
    shutil.copy(original, place.dest)
    place.refused(GanetiError, words, format=form)
    if kind == "vpc fixed":  # its only mark was at its end
        return
    told = telling.tell({"path": str(place.path / "image"), "format": form})["image"]
    assert not told["adoptable"] and told["problems"]
    if form in ("qcow2", "vdi", "vmdk") and kind != "qcow2 clusters":
        assert "cut off, as some of its data is said to be behind the end" in told["problems"][0]


@pytest.mark.functional
def test_a_disk_that_no_file_system_has_or_that_takes_hours_is_given_up(place, monkeypatch):
    samples.qemu_img("create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", place.path / "image", "1P")
    monkeypatch.setattr(target.os, "truncate", _too_large)
    place.refused(ImageFailed, f"would have {1 << 50} bytes, which its file system has not got")
    place.refused(ImageFailed, f"would have {1 << 50} bytes, which its file system has not got", rehearse=True)


def _too_large(_descriptor, size):
    assert size == 1 << 50
    raise OSError(27, "File too large")


@pytest.mark.functional
def test_going_through_the_tables_has_an_end(place, source, monkeypatch):
    """One entry of the first level for each TiB, which all have the same table."""
    bits, entries = 21, 1 << 17
    path = samples.qcow2(place.path / "image", bits=bits, size=entries << 39, l1_size=entries, l1=[5 << bits | 1 << 63] * entries, clusters=8)
    monkeypatch.setattr(qemu, "_SURVEY_SECONDS", 2)
    monkeypatch.setattr(target.Target, "check_size", lambda *_words: None)
    began = time.monotonic()
    place.refused(ImageFailed, "qemu-img cannot map .*: it was ended by a signal, at one of its limits")
    assert time.monotonic() - began < 120 and path.exists()


@pytest.mark.functional
def test_a_disk_that_fills_up_meanwhile_leaves_nothing(place, source, monkeypatch):
    samples.converted(source, place.path / "other", "qcow2")
    with mounted(place.path / "small", "-t", "tmpfs", "-o", "size=256k", "none") as small:
        place.dest = small / "disk.raw"
        place.refused(ImageFailed, "There is no room")
        monkeypatch.setattr(target.Target, "check_room", lambda *_words: None)
        place.refused(ImageFailed, "No space left on device")
        place.refused(ImageFailed, "No space left on device", src="other")


@pytest.mark.functional
def test_blocks_are_shared_where_the_file_system_can(place, source):
    place.refused(ImageFailed, "cannot share blocks", method="reflink", dest="/dev/shm/ganeti-cluster-test.raw")
    disk = samples.raw(place.path / "disk", 320 * MIB, [])
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", str(disk)], check=True, timeout=120)
    with mounted(place.path / "xfs", "-o", "loop", disk) as xfs:
        shutil.copy(source, xfs / "image")
        os.truncate(xfs / "image", 8 * MIB - 512)
        place.dest = xfs / "disk.raw"
        free = os.statvfs(xfs).f_bfree
        told = place(src="xfs/image", method="reflink")
        assert told["changed"] and told["method"] == "reflink" and place.dest.stat().st_size == 8 * MIB
        assert (os.statvfs(xfs).f_bfree - free) * 4096 > -samples.allocated(source) / 2 and place.dest.read_bytes() == (xfs / "image").read_bytes() + bytes(512)
        assert not place(src="xfs/image", method="reflink")["changed"]
        place.dest.unlink()
        assert place(src="xfs/image")["method"] == "reflink"
        place.refused(ImageFailed, "are not on the same file system, so it cannot be renamed", src="image", method="rename", dest=str(xfs / "new"))


@pytest.mark.functional
def test_an_image_in_use_is_left_alone(place, source, monkeypatch):
    """As a running instance has its disk: open for writing, and locked."""
    samples.converted(source, place.path / "other", "qcow2")
    images = (("raw", source), ("qcow2", place.path / "other"))
    held = [subprocess.Popen(["qemu-io", "-f", form, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for form, path in images]
    try:
        for each in held:
            each.stdin.write(b"length\n")
            each.stdin.flush()
            assert each.stdout.read(1)  # it has opened the file
        for given in ({"method": "copy"}, {"method": "rename"}, {"src": "other"}):
            place.refused(ImageRefused, "an instance or another QEMU has .* open to write it", **given)
        told = telling.tell({"path": str(place.path / "other"), "format": "auto"})["image"]
        assert told["confirmed"] and not told["adoptable"] and "open to write it" in told["problems"][0]
        monkeypatch.setattr(looking, "is_written_by_qemu", lambda _descriptor: False)
        place.refused(ImageRefused, "a program has .* open to write it", src="other")
        monkeypatch.setattr(looking, "is_written", lambda _descriptor: False)
        place.refused(ImageFailed, "Failed to get shared", src="other")
    finally:
        for each in held:
            each.communicate(b"quit\n", timeout=60)
    assert place(method="copy")["changed"]


@pytest.mark.functional
def test_without_a_sandbox_raw_images_alone_are_adopted(place, source, monkeypatch):
    samples.converted(source, place.path / "other", "qcow2")
    find = sandbox.find
    monkeypatch.setattr(sandbox, "find", lambda program: None if program == "bwrap" else find(program))
    place.refused(ImageRefused, "only read where that can do no harm, and bwrap is not on this node: install bubblewrap", src="other")
    assert place()["changed"]


@pytest.mark.functional
def test_qemu_img_and_the_headers_have_to_agree(place, source, monkeypatch):
    samples.converted(source, place.path / "other", "qcow2")
    for said in (qemu.Said("qcow2", 9 * MIB, False), qemu.Said("qcow2", 8 * MIB, True), qemu.Said("vmdk", 8 * MIB, False)):
        monkeypatch.setattr(qemu, "info", lambda _image, said=said: said)
        place.refused(ImageRefused, f"its headers say qcow2 with {8 * MIB} bytes, and qemu-img {said.format} with {said.virtual_size}", src="other")


@pytest.mark.parametrize(("more", "agree"), [(0, True), (16 * 255 * 512 - 1, True), (16 * 255 * 512, False), (-1, False)])
def test_the_disk_of_a_vhd_is_rounded_up_by_less_than_a_cylinder(tmp_path, monkeypatch, more, agree):
    monkeypatch.setattr(qemu, "info", lambda _image: qemu.Said("vpc", MIB + more, False))
    with looking.look(str(samples.vhd(tmp_path / "image")), "auto") as image, contextlib.ExitStack() as stack:
        if not agree:
            stack.enter_context(pytest.raises(ImageRefused, match="its headers say vpc"))
        assert qemu.check(image) == MIB + more


def test_data_is_looked_for_in_the_file_that_has_it(tmp_path):
    for name, size in (("a", 1024), ("b", 4096)):
        (tmp_path / name).write_bytes(bytes(size))
    path = samples.descriptor(tmp_path / "image", 'RW 2 FLAT "a" 0', 'RW 4 FLAT "b" 2048')
    with looking.look(str(path), "auto") as image:
        reach = qemu.Reach(image)
        line = '{{ "start": {}, "length": 1024, "depth": 0, "present": true, "zero": {}, "data": {}{}}},'
        assert reach.take("[" + line.format(0, "false", "true", ', "offset": 0')) == 1024
        assert reach.take(line.format(1024, "false", "true", ', "offset": 3072')) == 1024
        assert reach.take(line.format(1024, "true", "true", ', "offset": 3072')) == reach.take(line.format(0, "true", "false", "")) == reach.take("]") == 0
        assert reach.take(line.format(0, "false", "true", "")) == 1024  # compressed
        for start, offset in ((0, 1), (1024, 3073), (1 << 40, 4096)):
            with pytest.raises(ImageRefused, match="was cut off"):
                reach.take(line.format(start, "true", "true", f', "offset": {offset}'))
        for strange in ("x", "{}", "[" * 5000 + "1", '{"start": 0, "length": -1, "zero": false, "data": true}'):
            with pytest.raises(ImageRefused, match="is not understood"):
                reach.take(strange)
