# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make the zeroing helper, a kernel and an initial RAM disk, and a disk that boots them, out of Debian's packages.

Nothing is installed: a second kernel could become the one that the node itself boots. The packages are fetched by apt, which checks them, and
unpacked into a directory that is removed again. The same packages give the same bytes: entries are sorted, owned by root and of no time, and
nothing is compressed. ``manifest.json`` beside the result says what it was made of, and has the checksums of what was made.

Prints "unchanged" where all is as it would become, else "changed". Python 3.9, its standard library, apt and dpkg-deb; no root.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

MIB = 1024 * 1024
HERE = Path(__file__).resolve().parent
KERNEL = "linux-image-cloud-amd64"
PROGRAMS = {
    "busybox-static": ("busybox",),
    "lvm2": ("lvm",),
    "ntfs-3g": ("ntfs-3g", "ntfs-3g.probe", "ntfsinfo"),
    "util-linux": ("blkid", "blkdiscard", "blockdev", "fstrim"),
}
"""What is taken out of which package, beside the libraries that these need."""
TOOLS = ("mtools", "syslinux")
"""Packages with programs that make the disk; nothing of them is in it but the boot loader."""
MADE = ("vmlinuz", "initrd.img", "disk.img")
LABEL, SERIAL = "GANETIZERO", "5a45524f"
"""By which the helper knows the disk that it was booted from, and leaves it alone."""
BOOT = """DEFAULT zeroing
PROMPT 0
TIMEOUT 0
LABEL zeroing
 KERNEL vmlinuz
 INITRD initrd.img
 APPEND zeroing.mode=write quiet loglevel=1 panic=1 console=ttyS0,38400
"""
"""What the boot loader does. Zeros are written, as nobody there can tell whether the node honours discards."""
MODULES = (
    "virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "button", "evdev",
    "ext4", "xfs", "btrfs", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8", "fuse", "dm_mod",
)  # fmt: skip
"""What the helper may ask for, beside what these need in turn."""
LVM = """activation { udev_sync = 0 udev_rules = 0 monitoring = 0 verify_udev_operations = 1 raid_region_size = 2048 }
backup { backup = 0 archive = 0 }
devices { obtain_device_list_from_udev = 0 external_device_info_source = "none" use_devicesfile = 0 hints = "none" }
global { use_lvmlockd = 0 event_activation = 0 locking_dir = "/run/lvm" }
"""
"""lvm.conf of a system without udev and daemons, which writes nothing about what it does."""
_WHERE = ("usr/sbin", "sbin", "usr/bin", "bin")
_LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")
_URI = re.compile(r"'[^']+' (\S+\.deb) \d+ (SHA\d+:[0-9a-f]+|MD5Sum:[0-9a-f]+)")


class Failure(Exception):
    """Something that the user is told."""


class Entry(t.NamedTuple):
    """An entry of the initial RAM disk: its type and permissions, and its content or its device's numbers."""

    mode: int
    content: bytes = b""
    device: t.Tuple[int, int] = (0, 0)


Entries = t.Dict[str, Entry]


def main() -> None:
    """Read the command line, and make what is not there yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("directory", type=Path, help="where vmlinuz, initrd.img, disk.img and manifest.json go; made if it is not there")
    parser.add_argument("--packages", type=Path, help="where fetched packages are kept, and taken from if they are there")
    parser.add_argument("--kernel", default=KERNEL, help="the package with the kernel, or one that depends on it (%(default)s)")
    parser.add_argument("--check", action="store_true", help="only say whether something would change")
    arguments = parser.parse_args()
    try:
        inputs = wanted(arguments.kernel)
        unchanged = is_made(arguments.directory, inputs)
        if not unchanged and not arguments.check:
            with tempfile.TemporaryDirectory(prefix="zeroing-image-") as scratch:
                packages = fetch(inputs["packages"], arguments.packages or Path(scratch) / "packages")
                write(arguments.directory, inputs, build(packages, inputs["kernel"], Path(scratch)))
        print("unchanged" if unchanged else "changed")
    except (Failure, OSError) as error:
        sys.exit(f"zeroing image: {error}")


# --- What it is to be made of


def wanted(kernel: str) -> t.Dict[str, t.Any]:
    """All that the result depends on: the packages, by name and checksum, and the files beside this one."""
    if run("dpkg", "--print-architecture").strip() != "amd64":
        raise Failure("it can be made on amd64 only; make it there and copy it")
    kernel = kernel_package(kernel)
    uris = run("apt-get", "download", "--print-uris", *sorted({kernel, *libraries(), *PROGRAMS, *TOOLS}))
    packages = dict(sorted(match.groups() for match in _URI.finditer(uris)))
    if not packages:
        raise Failure("apt knows no place to fetch the packages from: run apt-get update")
    files = {name: sha256((HERE / name).read_bytes()) for name in (Path(__file__).name, "zeroing-helper.sh")}
    return {"packages": packages, "kernel": kernel, "files": files}


def kernel_package(name: str) -> str:
    """The kernel's own package, which the one without a version in its name depends on."""
    if re.match(r"linux-image-\d", name):
        return name
    found = re.search(r"^\s*Depends: (linux-image-\d[-+.~a-z0-9]*)$", run("apt-cache", "depends", "--important", name), re.M)
    if not found:
        raise Failure(f"{name} depends on no kernel: name a package as {KERNEL}")
    return found[1]


def libraries() -> t.Set[str]:
    """The packages with libraries that the programs' packages depend on, in as many steps as it takes."""
    listed = run("apt-cache", "depends", "--recurse", "--important", *PROGRAMS)
    return {line for line in listed.splitlines() if re.match(r"lib[-+.a-z0-9]+$", line)}


def is_made(directory: Path, inputs: t.Mapping[str, t.Any]) -> bool:
    """Whether what is there was made of the same, and is what was made."""
    try:
        manifest = json.loads((directory / "manifest.json").read_bytes())
        made = {name: sha256((directory / name).read_bytes()) for name in MADE}
    except (OSError, ValueError):
        return False
    return bool(manifest == {"made of": inputs, "sha256": made})


def fetch(packages: t.Mapping[str, str], directory: Path) -> t.List[Path]:
    """The packages' files, those that are not there yet fetched by apt, which checks them."""
    directory.mkdir(parents=True, exist_ok=True)
    missing = [file for file in packages if not (directory / file).exists()]
    if missing:
        named = [f"{file.split('_')[0]}={file.split('_')[1].replace('%3a', ':')}" for file in missing]
        run("apt-get", "--quiet", "--quiet", "--option", "APT::Sandbox::User=root", "download", *named, cwd=directory)
    return [directory / file for file in packages]


# --- Making it


def build(packages: t.Sequence[Path], kernel: str, scratch: Path) -> t.Dict[str, bytes]:
    """The kernel and the initial RAM disk, from packages that are unpacked into *scratch*."""
    root = scratch / "root"
    root.mkdir()
    for package in packages:
        run("dpkg-deb", "--extract", str(package), str(root))
    version = kernel[len("linux-image-") :].replace("-unsigned", "")
    entries = {**skeleton(), **programs(root), **modules(root, version)}
    made = {"vmlinuz": (root / f"boot/vmlinuz-{version}").read_bytes(), "initrd.img": archive(entries)}
    return {**made, "disk.img": disk(root, made, scratch)}


def skeleton() -> Entries:
    """Directories, the console, and the helper itself."""
    directory, link = 0o040755, 0o120777
    places = ("dev", "etc", "etc/lvm", "mnt", "proc", "run", "sys", "tmp", "usr", "usr/sbin", "bin", "lib", "lib64", "modules", _LIBRARIES[1])
    return {
        **{name: Entry(directory) for name in places},
        "dev/console": Entry(0o020600, device=(5, 1)), "dev/null": Entry(0o020666, device=(1, 3)),
        "bin/sh": Entry(link, b"busybox"), "init": Entry(0o100755, (HERE / "zeroing-helper.sh").read_bytes()),
        "etc/lvm/lvm.conf": Entry(0o100644, LVM.encode()),
    }  # fmt: skip


def programs(root: Path) -> Entries:
    """The programs, and the libraries that they need, as the packages' own loader finds them."""
    loader = next(iter(sorted(root.glob("lib64/ld-linux-x86-64.so.2")) + sorted(root.glob("usr/lib64/ld-linux-x86-64.so.2"))), None)
    if loader is None:
        raise Failure("there is no loader among the packages")
    real = root / "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    loader = real if real.exists() else root / "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    entries = {"lib64/ld-linux-x86-64.so.2": Entry(0o100755, loader.read_bytes())}
    for name in sorted(name for names in PROGRAMS.values() for name in names):
        path = program(root, name)
        if name == "busybox":
            entries["bin/busybox"] = Entry(0o100755, path.read_bytes())
            continue
        entries[f"usr/sbin/{name}"] = Entry(0o100755, path.read_bytes())
        for library in needed(root, loader, path):
            entries[f"{_LIBRARIES[1]}/{library.name}"] = Entry(0o100755, library.read_bytes())
    return entries


def program(root: Path, name: str) -> Path:
    """Where the packages have a program."""
    for place in _WHERE:
        path = root / place / name
        if path.is_file():
            return path
    raise Failure(f"there is no program {name} among the packages")


def needed(root: Path, loader: Path, path: Path) -> t.List[Path]:
    """The libraries that a program needs, by the names that it knows them by."""
    places = ":".join(str(root / place) for place in _LIBRARIES)
    listed = run(str(loader), "--library-path", places, "--inhibit-cache", "--list", str(path))
    if "not found" in listed:
        raise Failure(f"{path.name} needs a library that is not among the packages: {listed.strip()}")
    return [Path(found) for found in re.findall(r"=> (\S+) \(0x", listed) if not found.endswith("/ld-linux-x86-64.so.2")]


def modules(root: Path, version: str) -> Entries:
    """The kernel's modules, and for each that may be asked for a list of files to load, in order."""
    tree = next((place for place in (root / "lib/modules" / version, root / "usr/lib/modules" / version) if place.is_dir()), None)
    if tree is None:
        raise Failure(f"the package of the kernel {version} has no modules")
    kernel = Kernel(tree)
    entries: Entries = {}
    for name in MODULES:
        order = kernel.order(name)
        entries[f"modules/{name}"] = Entry(0o100644, "".join(f"{each}.ko\n" for each in order).encode())
        for each in order:
            entries[f"modules/{each}.ko"] = Entry(0o100644, kernel.content(each))
    return entries


class Kernel:
    """The modules of a kernel, as their files describe themselves; no program for that is needed."""

    def __init__(self, tree: Path) -> None:
        self._files = {module_name(path.name): path for path in sorted(tree.rglob("*.ko*"))}
        self._contents: t.Dict[str, bytes] = {}
        self._builtin = {module_name(line.rpartition("/")[2]) for line in (tree / "modules.builtin").read_text().split()}
        information = (tree / "modules.builtin.modinfo").read_bytes().split(b"\0")
        self._builtin |= {module_name(line.partition(b".alias=")[2].decode()) for line in information if b".alias=" in line}
        self._aliases: t.Dict[str, t.List[str]] = {}
        for name, path in self._files.items():
            if "/crypto/" in str(path) or "/lib/" in str(path).partition("/kernel/")[2]:
                for alias in described(self.content(name), "alias"):
                    self._aliases.setdefault(module_name(alias), []).append(name)

    def content(self, name: str) -> bytes:
        """A module as it is loaded, not compressed."""
        if name not in self._contents:
            path = self._files[name]
            content = path.read_bytes()
            if path.suffix == ".xz":
                content = lzma.decompress(content)
            elif path.suffix != ".ko":
                raise Failure(f"{path.name} is compressed in a way that is not known here")
            self._contents[name] = content
        return self._contents[name]

    def order(self, name: str) -> t.List[str]:
        """A module and what it needs, each behind those that it needs; without what is built in."""
        done: t.Dict[str, None] = {}

        def add(each: str) -> None:
            if each in done or each in self._builtin:
                return
            if each not in self._files:
                raise Failure(f"this kernel has no module {each}")
            content = self.content(each)
            for other in [*self._wished(content), *words(described(content, "depends"))]:
                add(other)
            done[each] = None

        add(name)
        return list(done)

    def _wished(self, content: bytes) -> t.Iterator[str]:
        """What a module wants to be there before it, if there is such a thing: the plainest that goes by that name."""
        for text in described(content, "softdep"):
            for wish in words([text.partition("pre:")[2].partition("post:")[0]]):
                if wish in self._builtin:
                    continue
                known = [wish] * (wish in self._files) + sorted(self._aliases.get(wish, ()), key=lambda name: ("generic" not in name, name))
                yield from known[:1]


def module_name(name: str) -> str:
    """A module's name, as the kernel has it."""
    return name.partition(".ko")[0].replace("-", "_")


def described(module: bytes, key: str) -> t.List[str]:
    """What a module says of itself under a key."""
    return [found.decode("ascii", "replace") for found in re.findall(rb"\0" + key.encode() + rb"=([^\0]*)(?=\0)", module)]


def words(texts: t.Iterable[str]) -> t.List[str]:
    """The modules' names in lists of them."""
    return [module_name(name) for text in texts for name in re.split(r"[,\s]+", text) if name]


def archive(entries: t.Mapping[str, Entry]) -> bytes:
    """An archive as the kernel unpacks it: cpio's "newc" format, root's files, times of 0. Directories come first by their names' order."""
    result = io.BytesIO()
    for number, (name, entry) in enumerate([*sorted(entries.items()), ("TRAILER!!!", Entry(0))]):
        encoded = name.encode() + b"\0"
        fields = (number, entry.mode, 0, 0, 1, 0, len(entry.content), 0, 0, *entry.device, len(encoded), 0)
        for part in (b"070701" + b"".join(b"%08X" % field for field in fields) + encoded, entry.content):
            result.write(part + bytes(-len(part) % 4))
    return result.getvalue()


def disk(root: Path, made: t.Mapping[str, bytes], scratch: Path) -> bytes:
    """A disk that boots the helper: a FAT without partitions, with Debian's boot loader, which needs no root to be put there."""
    image = scratch / "disk.img"
    sectors = (sum(map(len, made.values())) // MIB + 8) * MIB // 512
    with open(image, "wb") as stream:
        stream.truncate(sectors * 512)
    for name, content in {**made, "syslinux.cfg": BOOT.encode()}.items():
        (scratch / name).write_bytes(content)
    environment = {"SOURCE_DATE_EPOCH": "315532800", "TZ": "UTC", "PATH": f"{root}/usr/bin:{os.environ.get('PATH', '/usr/bin:/bin')}"}
    run("mformat", "-i", str(image), "-F", "-N", SERIAL, "-v", LABEL, "-h", "64", "-s", "32", "-T", str(sectors), "-H", "0", "::", given=environment)
    for name in (*made, "syslinux.cfg"):
        run("mcopy", "-i", str(image), str(scratch / name), "::", given=environment)
    run("syslinux", "--install", str(image), given=environment)
    return image.read_bytes()


# --- Files and programs


def write(directory: Path, inputs: t.Mapping[str, t.Any], made: t.Mapping[str, bytes]) -> None:
    """Put what was made in place; the manifest last, so that what is not complete is made again."""
    directory.mkdir(parents=True, exist_ok=True)
    manifest = {"made of": inputs, "sha256": {name: sha256(content) for name, content in made.items()}}
    for name, content in [*made.items(), ("manifest.json", json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n")]:
        new = directory / f"{name}.new"
        new.write_bytes(content)
        new.chmod(0o644)
        os.replace(new, directory / name)


def sha256(content: bytes) -> str:
    """A checksum."""
    return hashlib.sha256(content).hexdigest()


def run(*command: str, cwd: t.Optional[Path] = None, given: t.Optional[t.Mapping[str, str]] = None) -> str:
    """Run a command, with the variables *given* beside our own; return its output."""
    environment = {**os.environ, "LC_ALL": "C", **(given or {})}
    if not shutil.which(command[0], path=environment.get("PATH")):
        raise Failure(f"there is no {command[0]} here")
    done = subprocess.run(command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"{' '.join(command)[:200]} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


if __name__ == "__main__":
    main()
