# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disk images with real file systems, filled and partly emptied again; made with loop devices, as root."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import subprocess
import tempfile
import typing as t
from pathlib import Path

MIB = 1024 * 1024
LVM = ["--driverloaded", "n", "--config", "devices { use_devicesfile=0 obtain_device_list_from_udev=0 } backup { backup=0 archive=0 }"]
MAKERS: t.Mapping[str, t.List[str]] = {
    "ext2": ["mkfs.ext2", "-q", "-F"],
    "ext4": ["mkfs.ext4", "-q", "-F"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
    "ntfs": ["mkfs.ntfs", "-Q", "-q", "-F"],
    "vfat": ["mkfs.vfat", "-F", "32"],
    "swap": ["mkswap", "-L", "spare"],
}
CHECKERS: t.Mapping[str, t.List[str]] = {
    "ext2": ["e2fsck", "-fn"],
    "ext4": ["e2fsck", "-fn"],
    "xfs": ["xfs_repair", "-n"],
    "btrfs": ["btrfs", "check", "--readonly"],
    "ntfs": ["ntfsfix", "-n"],
    "vfat": ["fsck.vfat", "-n"],
}


class Part(t.NamedTuple):
    """A partition, or a volume in one."""

    kind: str
    start: int
    size: int


class Image:
    """A disk with partitions of these kinds and sizes in MiB, one after the other from the first MiB; "lvm" is a volume with an ext4 in it."""

    def __init__(self, path: Path, *wanted: t.Tuple[str, int]) -> None:
        self.path = path
        table, at, self.parts = ["label: gpt"], 1, []
        for kind, size in wanted:
            table.append(f"start={at}MiB, size={size}MiB")
            self.parts.append(Part(kind, at * MIB, size * MIB))
            at += size
        with open(path, "wb") as stream:
            stream.truncate((at + 1) * MIB)
        run("sfdisk", "-q", str(path), given="\n".join(table))
        for number, part in enumerate(self.parts):
            self._format(number, part)

    def _format(self, number: int, part: Part) -> None:
        if part.kind != "lvm":
            with self.device(part) as device:
                run(*MAKERS[part.kind], device)
            return
        with self.device(part) as device:
            for command in (["pvcreate", device], ["vgcreate", "guest", device], ["lvcreate", "-an", "-Zn", "-Wn", "-l", "80%FREE", "-n", "root", "guest"]):
                run("lvm", *command, *LVM)
        self.parts[number] = Part("ext4", part.start + MIB, part.size * 8 // 10 // (4 * MIB) * 4 * MIB - 4 * MIB)
        with self.device(self.parts[number]) as device:
            run(*MAKERS["ext4"], device)

    @contextlib.contextmanager
    def device(self, part: Part) -> t.Iterator[str]:
        """A loop device on a part."""
        device = run("losetup", "--find", "--show", f"--offset={part.start}", f"--sizelimit={part.size}", str(self.path)).strip()
        try:
            yield device
        finally:
            run("losetup", "--detach", device)

    @contextlib.contextmanager
    def mounted(self, part: Part) -> t.Iterator[Path]:
        """A part, mounted here. The helper's own way would be to trust it; these tests made it themselves."""
        place = self.path.with_suffix(".mnt")
        place.mkdir(exist_ok=True)
        with self.device(part) as device:
            run(*(["ntfs-3g"] if part.kind == "ntfs" else ["mount", "-t", part.kind]), device, str(place))
            try:
                yield place
            finally:
                run("umount", str(place))

    def dos(self, part: Part, command: str, *words: str) -> None:
        """One of mtools' commands on a FAT, as not every kernel can mount one."""
        run(command, "-i", f"{self.path}@@{part.start}", *words)

    def age(self, part: Part, keep: int, lose: int, seed: int = 1) -> None:
        """Write files of random bytes, *keep* and *lose* MiB in all, in turns, and remove the latter."""
        source = random.Random(seed)
        with self._filled(part) as place:
            for name, size in (("keep", keep), ("gone", lose)):
                (place / name).mkdir()
                for number in range(size):
                    (place / name / str(number)).write_bytes(source.randbytes(MIB))
        with self._emptied(part) as place:
            for file in (place / "gone").iterdir():
                file.unlink()

    @contextlib.contextmanager
    def _filled(self, part: Part) -> t.Iterator[Path]:
        """Where to put files that are to be in a part."""
        if part.kind != "vfat":
            with self.mounted(part) as place:
                yield place
            return
        with tempfile.TemporaryDirectory() as place_:
            yield Path(place_)
            self.dos(part, "mcopy", "-s", "-Q", *(str(each) for each in Path(place_).iterdir()), "::/")

    @contextlib.contextmanager
    def _emptied(self, part: Part) -> t.Iterator[Path]:
        """Where to remove files from."""
        if part.kind != "vfat":
            with self.mounted(part) as place:
                yield place
            return
        self.dos(part, "mdeltree", "::/gone")
        with tempfile.TemporaryDirectory() as place_:
            (Path(place_) / "gone").mkdir()
            yield Path(place_)

    def scribble(self, part: Part) -> None:
        """Fill a part but for its first page, as used swap space is."""
        with open(self.path, "r+b") as stream:
            stream.seek(part.start + 4096)
            stream.write(os.urandom(part.size - 4096))

    def poke(self, part: Part, offset: int, data: bytes) -> None:
        """Change some bytes of a part."""
        with open(self.path, "r+b") as stream:
            stream.seek(part.start + offset)
            stream.write(data)

    def crash(self, part: Part) -> None:
        """Leave a part as a power failure does, after a file was written and synchronised."""
        with self.mounted(part) as place:
            with open(place / "late", "wb") as stream:
                stream.write(bytes(range(256)) * 4096)
                os.fsync(stream.fileno())
            with open(self.path, "rb") as image:
                image.seek(part.start)
                seen = image.read(part.size)
        self.poke(part, 0, seen)

    def first_page(self, part: Part) -> bytes:
        """The page with the signature of swap space."""
        with open(self.path, "rb") as stream:
            stream.seek(part.start)
            return stream.read(4096)

    def files(self, part: Part) -> t.Dict[str, str]:
        """The digest of each file of a part."""
        if part.kind == "vfat":
            with tempfile.TemporaryDirectory() as place:
                self.dos(part, "mcopy", "-s", "-n", "::/", place)
                return digests(Path(place))
        with self.mounted(part) as mounted:
            return digests(mounted)

    def is_sound(self, part: Part) -> None:
        """Assert that the checker of its file system has nothing against a part."""
        with self.device(part) as device:
            run(*CHECKERS[part.kind], device)

    @property
    def taken(self) -> int:
        """The bytes that the image takes on this machine."""
        with open(self.path, "rb") as stream:
            os.fsync(stream.fileno())
        return self.path.stat().st_blocks * 512


def digests(place: Path) -> t.Dict[str, str]:
    """The digest of each file in a directory, by its path."""
    return {str(file.relative_to(place)): digest(file) for file in sorted(place.rglob("*")) if file.is_file()}


def digest(path: Path) -> str:
    """The digest of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def run(*command: str, given: str = "") -> str:
    """Run a command that has to succeed; its output."""
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout
