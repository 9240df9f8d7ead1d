# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which format an image has, by the marks in its bytes."""

from __future__ import annotations

import typing as t

from . import others, qcow2, vmdk
from .facts import Facts
from .opened import Damaged, File

FORMATS = ("raw", "qcow2", "vmdk", "vdi", "vhdx", "vpc")
"""Those that can be adopted, as qemu-img calls them."""

_READERS: t.Dict[str, t.Callable[[File], Facts]] = {
    "qcow2": qcow2.read,
    "vmdk": vmdk.read,
    "vdi": others.read_vdi,
    "vhdx": others.read_vhdx,
    "vpc": others.read_vhd,
}
_STRANGE = (
    (0, b"QED\0", "a QED image: convert it with qemu-img where it came from"),
    (0, b"LUKS\xba\xbe", "an encrypted volume (LUKS). If that is what the disk has to be, say format: raw"),
    (0, b"WithoutFreeSpace", "an image of Parallels: convert it with qemu-img where it came from"),
    (0, b"WithouFreSpacExt", "an image of Parallels: convert it with qemu-img where it came from"),
    (0, b"\x1f\x8b", "packed with gzip: unpack it first"),
    (0, b"\xfd7zXZ\0", "packed with xz: unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "packed with zstd: unpack it first"),
    (0, b"BZh", "packed with bzip2: unpack it first"),
    (0, b"PK\x03\x04", "a ZIP archive: unpack it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (257, b"ustar", "a tar archive, as an OVA is one: unpack it, and adopt the image of each disk in it"),
    (0, b"<?xml", "a description of a machine (OVF), or another text: adopt the image of each disk that it names"),
)


def mark(file: File) -> t.Optional[str]:
    """The format whose mark a file has, or None, as a raw image has none."""
    head = file.head(512)
    if head.startswith(qcow2.MAGIC):
        return "qcow2"
    if head.startswith((vmdk.SPARSE, vmdk.OLD, vmdk.TEXT)):
        return "vmdk"
    if head.startswith(others.VHDX):
        return "vhdx"
    if head[others.VDI_AT : others.VDI_AT + 4] == others.VDI:
        return "vdi"
    return "vpc" if others.is_vhd(file) else None


def strange(file: File) -> t.Optional[str]:
    """What else a file is that is surely not meant to be a disk, and what to do with it; None where nothing says so."""
    head = file.head(512)
    return next((what for offset, magic, what in _STRANGE if head[offset : offset + len(magic)] == magic), None)


def read(file: File, form: str) -> Facts:
    """What a file says of itself, read as an image of that format; raise Damaged where it cannot be one."""
    if form == "raw":
        return Facts("raw", file.size, problems=[] if file.size else ["it is empty"])
    if mark(file) != form:
        raise Damaged(f"it has not got the mark of {form}")
    facts = _READERS[form](file)
    if not facts.virtual_size and not facts.problems and not facts.outside:
        facts.problems.append("its disk is empty")
    return facts
