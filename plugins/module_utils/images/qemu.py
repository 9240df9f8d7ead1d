# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ``qemu-img`` does for us, always confined, and only with images whose headers were judged before."""

from __future__ import annotations

import json
import os
import re
import typing as t

from .._errors import ImageFailed, ImageRefused
from . import sandbox
from .look import Image
from .sandbox import Limits, Shared

PROGRAM = "qemu-img"
_INFO_SECONDS = 60
_SILENT = 300.0
"""Seconds without progress after which it is given up."""
_LIMITS = Limits(_SILENT)
_TARGET = "/target"
_DATA = re.compile(r'"length": (\d{1,19}),.*"data": true')


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
    agree = said.virtual_size >= image.facts.virtual_size if image.facts.format == "vpc" else said.virtual_size == image.facts.virtual_size
    if said.references or said.format != image.facts.format or not agree:
        raise ImageRefused(
            f"{image.file.path} is not used: its headers say {image.facts.format} with {image.facts.virtual_size} bytes, and qemu-img "
            f"{said.format} with {said.virtual_size} bytes{' and other files' if said.references else ''}."
        )
    return said.virtual_size


def data_bytes(image: Image) -> int:
    """The bytes of the disk that are data, as the image's tables say: what a raw file of it can take at most."""
    total = 0

    def take(line: str) -> None:
        nonlocal total
        found = _DATA.search(line)
        if found:
            total += int(found[1])

    _check(_run(["map", "--output=json", "-f", image.facts.format, _path(image)], image, take), image, "cannot map")
    # What lies there as it is in the disk takes no more than its files do.
    flat = image.facts.kind == "fixed" or (bool(image.facts.parts) and all(part.kind == "flat" for part in image.facts.parts))
    return min(total, image.allocated) if flat else total


def convert(image: Image, target: Shared, size: int) -> None:
    """Write the disk into *target*, an empty file of *size* bytes that has nothing but holes."""
    order = [] if image.facts.kind == "streamOptimized" else ["-W", "-m", "8"]  # one after another, what is compressed in a row is read faster
    arguments = ["convert", "-p", "-n", "--target-is-zero", *order, "-f", image.facts.format, "-O", "raw", _path(image), f"{_TARGET}/disk"]
    ended = _run(arguments, image, lambda _line: None, target._replace(inside=f"{_TARGET}/disk", writable=True), limits=Limits(_SILENT, largest=size))
    _check(ended, image, "cannot convert")


def same(image: Image, other: Shared) -> bool:
    """Whether *other*, a raw file, has the same disk, and zeros behind it if it is longer."""
    arguments = ["compare", "-p", "-f", image.facts.format, "-F", "raw", _path(image), f"{_TARGET}/disk"]
    ended = _run(arguments, image, lambda _line: None, other._replace(inside=f"{_TARGET}/disk"))
    if ended.status != 1:
        _check(ended, image, "cannot compare")
    return ended.status == 0


def _run(arguments: t.Sequence[str], image: Image, take: t.Callable[[str], object], *more: Shared, limits: Limits = _LIMITS) -> sandbox.Ended:
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
