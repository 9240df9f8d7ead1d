# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ``qemu-img`` does for us, always confined, and only with images whose headers were judged before."""

from __future__ import annotations

import bisect
import itertools
import json
import os
import typing as t

from .._errors import ImageFailed, ImageRefused
from . import sandbox
from .look import Image
from .sandbox import Limits, Shared

PROGRAM = "qemu-img"
_INFO_SECONDS = 60
_SILENT = 300.0
"""Seconds without progress after which it is given up."""
_TARGET = "/target"
_LARGEST_CYLINDER = 16 * 255 * 512
"""Bytes, by less than which QEMU rounds the disk of a VHD up."""
_SURVEY_SECONDS = 600
"""Of a processor, to go through the tables once."""
_LEAST_BYTES_PER_SECOND = 4 * 1024 * 1024
"""Of a processor, to read and unpack data; any is faster."""


class Said(t.NamedTuple):
    """What ``qemu-img info`` says."""

    format: str
    virtual_size: int
    references: bool
    """Whether it names another file that it needs."""


def unusable() -> t.Optional[str]:
    """Why it cannot be used on this node: a clause; None where it can."""
    return sandbox.missing(PROGRAM)


def info(image: Image) -> Said:
    """What it says of the image; raise ImageRefused where that is an error, or contradicts what the headers have said."""
    text: t.List[str] = []
    limits = Limits(_INFO_SECONDS, processor=_INFO_SECONDS)
    ended = _run(["info", "--force-share", "--output=json", "-f", image.facts.format, _path(image)], image, text.append, limits=limits)
    _check(ended, image, "does not take")
    said = json.loads("\n".join(text))
    data = said.get("format-specific", {}).get("data", {})
    extents = {each.get("filename") for each in data.get("extents", [])}
    known = {shared.inside for shared in _shared(image)}
    strange = bool(said.get("backing-filename") or data.get("data-file") or not extents <= known)
    return Said(str(said["format"]), int(said["virtual-size"]), strange)


def check(image: Image) -> int:
    """The size of the disk in bytes, on which headers and ``qemu-img`` agree; raise ImageRefused where they do not."""
    said = info(image)
    # QEMU rounds the disk of a VHD up to what its cylinders make.
    more = said.virtual_size - image.facts.virtual_size
    agree = 0 <= more < _LARGEST_CYLINDER if image.facts.format == "vpc" else more == 0
    if said.references or said.format != image.facts.format or not agree:
        raise ImageRefused(
            f"{image.file.path} is not used: its headers say {image.facts.format} with {image.facts.virtual_size} bytes, and qemu-img "
            f"{said.format} with {said.virtual_size} bytes{' and other files' if said.references else ''}."
        )
    return said.virtual_size


def survey(image: Image, bound: t.Optional[t.Callable[[int], None]] = None) -> None:
    """Have ``image.data``: the bytes of the disk that are data, as its tables say, so what a raw file of it can take at most.

    Raise ImageRefused where some of it is said to be behind the end of a file, as QEMU would read zeros there. *bound* is told what has been found so
    far, and raises where that is too much.
    """
    # What lies there as it is in the disk takes no more than its files do.
    capped = _is_flat(image)
    reach, total = Reach(image), 0

    def take(line: str) -> None:
        nonlocal total
        total += reach.take(line)
        if bound and not capped:
            bound(total)

    limits = Limits(_SILENT, processor=_SURVEY_SECONDS)
    _check(_run(["map", "--output=json", "-f", image.facts.format, _path(image)], image, take, limits=limits), image, "cannot map")
    image.data = min(total, image.allocated) if capped else total
    if bound:
        bound(image.data)


def _is_flat(image: Image) -> bool:
    """Whether no byte of its files can be at two places of the disk."""
    parts = image.facts.parts
    if not parts:
        return image.facts.format == "vpc" and image.facts.kind == "fixed"
    return all(part.kind == "flat" for part in parts) and len({part.name for part in parts}) == len(parts)


class Reach:
    """Compares where data is said to be with where the files end."""

    def __init__(self, image: Image) -> None:
        self._image = image
        sizes = {os.path.basename(file.path): file.size for file in image.beside}
        self._starts = list(itertools.accumulate([0, *(part.size for part in image.facts.parts)]))[:-1] or [0]
        self._ends = [sizes[part.name] for part in image.facts.parts] or [image.file.size]

    def take(self, line: str) -> int:
        """The bytes of data that a line of ``qemu-img map`` tells of; raise ImageRefused where they are not there."""
        text = line.strip().lstrip("[").rstrip("],")
        if not text:
            return 0
        try:
            entry = json.loads(text)
            start, length, data = int(entry["start"]), int(entry["length"]), bool(entry["data"])
            if start < 0 or length < 0:
                raise ValueError
            # What a line tells of lies in one file alone. What is compressed has no offset.
            end = self._ends[bisect.bisect_right(self._starts, start) - 1]
            if data and "offset" in entry and int(entry["offset"]) + length > end:
                raise ImageRefused(f"{self._image.file.path} is not used: it was cut off, as some of its data is said to be behind the end of its file.")
            return length if data and not entry["zero"] else 0
        except (KeyError, TypeError, ValueError, RecursionError):
            raise ImageRefused(f"{self._image.file.path} is not used: qemu-img said something of it that is not understood.") from None


def _reading(data: int, largest: int = 0) -> Limits:
    """For reading so many bytes of data, while the tables are gone through no more than three times."""
    return Limits(_SILENT, processor=3 * _SURVEY_SECONDS + data // _LEAST_BYTES_PER_SECOND, largest=largest)


def convert(image: Image, target: Shared, size: int) -> None:
    """Write the disk into *target*, an empty file of *size* bytes that has nothing but holes."""
    order = [] if image.facts.kind == "streamOptimized" else ["-W", "-m", "8"]  # one after another, what is compressed in a row is read faster
    arguments = ["convert", "-p", "-n", "--target-is-zero", *order, "-f", image.facts.format, "-O", "raw", _path(image), f"{_TARGET}/disk"]
    ended = _run(arguments, image, lambda _line: None, target._replace(inside=f"{_TARGET}/disk", writable=True), limits=_reading(image.data, size))
    _check(ended, image, "cannot convert")


def same(image: Image, other: Shared) -> bool:
    """Whether *other*, a raw file, has the same disk, and zeros behind it if it is longer."""
    arguments = ["compare", "-p", "-f", image.facts.format, "-F", "raw", _path(image), f"{_TARGET}/disk"]
    limits = _reading(image.data + other.stat.st_blocks * 512)
    ended = _run(arguments, image, lambda _line: None, other._replace(inside=f"{_TARGET}/disk"), limits=limits)
    if ended.status != 1:
        _check(ended, image, "cannot compare")
    return ended.status == 0


def _run(arguments: t.Sequence[str], image: Image, take: t.Callable[[str], object], *more: Shared, limits: Limits) -> sandbox.Ended:
    why = unusable()
    if why:
        raise ImageRefused(f"{image.file.path} is an image of the format {image.facts.format}, which is only read where that can do no harm, and {why}.")
    return sandbox.run(str(sandbox.find(PROGRAM)), arguments, [*_shared(image), *more], take, limits)


def _path(image: Image) -> str:
    """What the image is called in there: no name that a file beside it has."""
    taken = {os.path.basename(file.path) for file in image.beside}
    return "/images/" + next(name for name in ("image", *(f"image{number}" for number in range(len(taken)))) if name not in taken)


def _shared(image: Image) -> t.List[Shared]:
    beside = [Shared(file.path, file.stat, f"/images/{os.path.basename(file.path)}") for file in image.beside]
    return [Shared(image.file.path, image.file.stat, _path(image)), *beside]


def _check(ended: sandbox.Ended, image: Image, what: str) -> None:
    if ended.status < 0 or ended.status > 128:
        raise ImageFailed(f"qemu-img {what} {image.file.path}: it was ended by a signal, at one of its limits or by a fault in it. {ended.said}".strip())
    if ended.status:
        raise ImageFailed(f"qemu-img {what} {image.file.path}: {ended.said or f'exit status {ended.status}'}")
