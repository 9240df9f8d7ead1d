# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""An image with the files beside it: opened, read, and judged, before any program gets to see it."""

from __future__ import annotations

import contextlib
import os
import typing as t

from .._errors import ImageRefused
from . import marks, vmdk
from .facts import Facts, Part
from .opened import Damaged, File, open_regular, shown
from .raw import is_written, is_written_by_qemu

_LONGEST_CHAIN = 16


class Image:
    """An image whose files are open; closes them at its end."""

    def __init__(self, file: File, facts: Facts, beside: t.Sequence[File] = ()) -> None:
        self.file = file
        self.facts = facts
        self.beside = list(beside)
        """The files that hold pieces of its disk, each once."""
        self.warnings: t.List[str] = []
        self.data = 0
        """The bytes of its disk that are data, once qemu-img has said that."""

    def __enter__(self) -> Image:
        return self

    def __exit__(self, *_error: object) -> None:
        for file in self.files:
            file.close()

    @property
    def files(self) -> t.List[File]:
        """All of its files."""
        return [self.file, *self.beside]

    @property
    def allocated(self) -> int:
        """The bytes that all of its files take."""
        return sum(file.allocated for file in self.files)

    @property
    def faults(self) -> t.List[str]:
        """All that keeps it from being adopted."""
        return [f"it refers to {each}" for each in self.facts.outside] + self.facts.problems + self.uses

    @property
    def uses(self) -> t.List[str]:
        """That somebody is writing it at this moment: a clause, or none."""
        for file in self.files:
            if is_written_by_qemu(file.descriptor):
                return [f"an instance or another QEMU has {file.path} open to write it"]
            if is_written(file.descriptor):
                return [f"a program has {file.path} open to write it, as one that copies it there (lsof or fuser tell which)"]
        return []

    def check_unchanged(self) -> None:
        """Raise ImageRefused where somebody has written it meanwhile, or has it open for that."""
        for file in self.files:
            if not file.is_unchanged():
                raise ImageRefused(f"{file.path} was written while it was read: have it finished first, and run the task again.")
        for use in self.uses:
            raise ImageRefused(f"{self.file.path} is not adopted: {use}.")


def look(path: str, form: str) -> Image:
    """Open an image of a format, or of that which its marks say (``auto``). Raise FileNotFoundError where it is not there."""
    file = open_regular(path)
    with contextlib.ExitStack() as undo:
        undo.callback(file.close)
        found = marks.mark(file)
        warnings = []
        if form == "auto":
            what = None if found else marks.strange(file)
            if what:
                raise ImageRefused(f"{path} is {what}.")
        elif form == "raw" and found:
            warnings.append(f"{path} has the mark of {found} and was taken for raw, as format says so.")
        elif form not in ("raw", found):
            raise ImageRefused(f"{path} is {_article(found)}, not {form}: correct format, or look where the file came from.")
        image = _read(file, (found or "raw") if form == "auto" else form)
        image.warnings += warnings
        undo.pop_all()
        return image


def _article(found: t.Optional[str]) -> str:
    return f"an image of the format {found}" if found else "a file without any known mark, so raw at best"


def _read(file: File, form: str) -> Image:
    try:
        facts = marks.read(file, form)
    except Damaged as error:
        return Image(file, Facts(form, 0, problems=[str(error)]))
    if facts.outside or not facts.parts:
        return Image(file, facts)
    beside: t.Dict[str, File] = {}
    try:
        for part in facts.parts:
            if part.name not in beside:
                beside[part.name] = _open_part(file, part, beside)
            _check_part(beside[part.name], part)
    except (Damaged, ImageRefused, FileNotFoundError) as error:
        facts.problems.append(error.message.rstrip(".") if isinstance(error, ImageRefused) else str(error))
    return Image(file, facts, list(beside.values()))


def _open_part(file: File, part: Part, beside: t.Mapping[str, File]) -> File:
    path = os.path.join(os.path.dirname(file.path), part.name)
    directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        opened = open_regular(path, directory)
    except FileNotFoundError:
        raise Damaged(f"its extent {part.name} is not beside it") from None
    finally:
        os.close(directory)
    if any(os.path.samestat(opened.stat, other.stat) for other in (file, *beside.values())):
        opened.close()
        raise Damaged(f"its extent {part.name} is the same file as another")
    return opened


def _check_part(file: File, part: Part) -> None:
    if part.kind == "flat" and part.offset + part.size > file.size:
        raise Damaged(f"its extent {part.name} ends at {file.size} bytes, and {part.offset + part.size} are said to be in it")
    if part.kind == "sparse" and vmdk.capacity(file) != part.size:
        raise Damaged(f"its extent {part.name} has {vmdk.capacity(file)} bytes of disk, and {part.size} are said to be in it")


class Link(t.NamedTuple):
    """One of the images that an image is built on."""

    name: str
    format: t.Optional[str]
    virtual_size: t.Optional[int]
    reason: t.Optional[str]
    """Why it was not looked at, or what is wrong with it."""


def chain(image: Image) -> t.List[Link]:
    """The images below one, as far as they are plain names in its directory. Their headers are read and nothing else."""
    found: t.List[Link] = []
    seen = [image.file.stat]
    here, backing, said = os.path.dirname(image.file.path), image.facts.backing, image.facts.backing_format
    while backing is not None and len(found) < _LONGEST_CHAIN:
        if "/" in backing or ":" in backing or backing in (".", ".."):
            found.append(Link(backing, said, None, "it is not in the same directory, so it was not looked at"))
            break
        try:
            below = look(os.path.join(here, backing), "auto")
        except (ImageRefused, OSError) as error:
            found.append(Link(backing, said, None, "it is not there" if isinstance(error, FileNotFoundError) else shown(str(error).encode())))
            break
        with below:
            again = any(os.path.samestat(below.file.stat, each) for each in seen)
            reason = "it leads back to itself" if again else "; ".join(below.facts.problems) or None
            found.append(Link(backing, below.facts.format, below.facts.virtual_size, reason))
            if again:
                break
            seen.append(below.file.stat)
            backing, said = below.facts.backing, below.facts.backing_format
    return found
