# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Making a raw file of an image, of which nothing is believed that was not looked at."""

from __future__ import annotations

import contextlib
import os
import re
import typing as t

from .._difference import Difference
from .._errors import ImageFailed, ImageRefused, InvalidInput
from . import marks, qemu, raw
from .gpt import gpt
from .look import Image, look
from .opened import File, check_path
from .sandbox import Shared
from .target import Rights, Target, rights, temporary

METHODS = ("auto", "rename", "reflink", "copy")
_KEEP_LATER = "say compare: false to keep what is there without a look at it."
_KEEP = f"If it was made of it once, {_KEEP_LATER}"
_CHECKSUM = re.compile(r"sha256:([0-9a-f]{64})")


class Wanted(t.NamedTuple):
    """What the user asks for, checked."""

    source: str
    target: str
    format: str
    method: str
    digest: t.Optional[str]
    compare: bool
    rights: Rights


def wanted(params: t.Mapping[str, t.Any]) -> Wanted:
    """The options of the module; raise InvalidInput for what makes no sense."""
    source, target = check_path(params["src"], "src"), check_path(params["dest"], "dest")
    if source == target:
        raise InvalidInput(f"src and dest are both {source}: there is nothing to adopt.")
    if os.path.basename(source) == temporary(target):
        raise InvalidInput(f"src is {source}, which is the name that {target} has while it is made, and is removed then: rename it first.")
    digest = params["checksum"]
    if digest is not None:
        found = _CHECKSUM.fullmatch(digest.lower())
        if not found:
            raise InvalidInput(f"checksum is {digest!r}: use 'sha256:' and 64 hexadecimal digits.")
        digest = found[1]
    if params["method"] != "auto" and params["format"] not in ("auto", "raw"):
        raise InvalidInput(f"method is {params['method']}, which is for raw images alone: leave it out for one of the format {params['format']}.")
    own = rights(params["mode"], params["owner"], params["group"])
    return Wanted(source, target, params["format"], params["method"], digest, params["compare"], own)


class _Result:
    """What the user is told."""

    def __init__(self, asked: Wanted) -> None:
        self.difference = Difference()
        self.warnings: t.List[str] = []
        self.told: t.Dict[str, t.Any] = {"dest": asked.target, "format": None, "virtual_size": None, "size": None, "allocated": 0}
        self.told.update(method=None, compared=False, gpt=None)

    def image(self, image: Image) -> None:
        """Tell of the image."""
        self.warnings += image.warnings
        self.told.update(format=image.facts.format, virtual_size=image.facts.virtual_size)
        if image.facts.snapshot_count:
            self.warnings.append(f"{image.file.path} has {image.facts.snapshot_count} snapshots, which a raw file cannot have: only its present state counts.")

    def file(self, descriptor: int) -> None:
        """Tell of the file that is there now."""
        found = os.fstat(descriptor)
        self.told.update(size=found.st_size, allocated=found.st_blocks * 512)
        table = gpt(descriptor, found.st_size)
        if table is None:
            return
        self.told["gpt"] = table._asdict()
        if not table.is_at_end:
            self.warnings.append(
                f"The second copy of the partition table of {self.told['dest']} is not at its end, as the file is larger than the disk in the image was. "
                f"Systems start with the first copy all the same. To put it right, run sgdisk --move-second-header {self.told['dest']}."
            )

    def done(self) -> t.Dict[str, t.Any]:
        """The result of the module."""
        return {**self.told, "changed": self.difference.changed, "diff": self.difference.diff(), "warnings": self.warnings}


def adopt(params: t.Mapping[str, t.Any], rehearse: bool) -> t.Dict[str, t.Any]:
    """Make *dest* of *src*, or find that it is there; raise GanetiError where that cannot be. To *rehearse* changes nothing."""
    asked = wanted(params)
    result = _Result(asked)
    try:
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(Target(asked.target))
            there = target.existing()
            if there is not None:
                stack.callback(there.close)
                if not rehearse:
                    target.tidy(there)
            if there is not None and not asked.compare:
                return _settle(asked, there, result, rehearse)
            image = _open(asked, there)
            if image is not None:
                stack.enter_context(image)
            if there is not None:
                return _again(asked, image, there, target, result, rehearse)
            return _make(asked, t.cast(Image, image), target, result, rehearse)
    except OSError as error:
        raise ImageFailed(f"{asked.source} could not become {asked.target}: {error.strerror or error}.") from error


def _open(asked: Wanted, there: t.Optional[File]) -> t.Optional[Image]:
    """The source; None where it is not there but the target is."""
    try:
        return look(asked.source, asked.format)
    except FileNotFoundError:
        if there is None:
            raise ImageFailed(f"{asked.source} is not there, and {asked.target} is not either.") from None
        return None


# --- What is there already --------------------------------------------------------------------------------------------


def _again(asked: Wanted, image: t.Optional[Image], there: File, target: Target, result: _Result, rehearse: bool) -> t.Dict[str, t.Any]:
    """The target exists: it is kept where it is what would be made, and never written over."""
    if image is None:
        _check_without_source(asked, there)
        _check_settled(asked, there)
        result.told["compared"] = True
        return _settle(asked, there, result, rehearse)
    if os.path.samestat(image.file.stat, there.stat):
        return _finish_renaming(asked, image, there, target, result, rehearse)
    _judge(asked, image, result)
    if raw.is_written_by_qemu(there.descriptor):
        raise ImageRefused(f"{asked.target} is there and in use by an instance, so it cannot be compared with {asked.source}. {_KEEP}")
    if not _is_same(image, there):
        problem = f"{asked.target} is there and has other contents than {asked.source}; it was not touched"
        raise ImageRefused(f"{problem}. Use another dest, remove it, or {_KEEP_LATER}")
    image.check_unchanged()
    _check_settled(asked, there)
    result.told["compared"] = True
    return _settle(asked, there, result, rehearse)


def _check_without_source(asked: Wanted, there: File) -> None:
    if asked.digest is None:
        raise ImageRefused(f"{asked.source} is not there, so it cannot be told whether {asked.target} was made of it. Say checksum, or {_KEEP_LATER}")
    if not raw.has_digest(there.descriptor, there.size, asked.digest):
        problem = f"{asked.source} is not there, and {asked.target} has not got its checksum"
        raise ImageRefused(f"{problem}: it was made of a format that is not raw, or written since. {_KEEP}")


def _check_settled(asked: Wanted, there: File) -> None:
    if not there.is_unchanged():
        raise ImageRefused(f"{asked.target} was written while it was compared; it was not touched. {_KEEP}")


def _is_same(image: Image, there: File) -> bool:
    if image.facts.format == "raw":
        return there.size >= image.file.size and raw.same(image.file.descriptor, image.file.size, there.descriptor, there.size)
    return there.size >= image.facts.virtual_size and qemu.same(image, Shared(there.path, there.stat, ""))


def _finish_renaming(asked: Wanted, image: Image, there: File, target: Target, result: _Result, rehearse: bool) -> t.Dict[str, t.Any]:
    """Both names are of one file: as a run leaves them that died before it took the first one away."""
    if asked.method != "rename":
        raise ImageRefused(f"{asked.source} and {asked.target} are the same file: nothing was done.")
    if _is_one_entry(asked, target) or there.stat.st_nlink < 2:
        raise ImageRefused(f"{asked.source} and {asked.target} are one name of the same file, by two paths: nothing was done. Use another dest.")
    _judge(asked, image, result)
    result.difference.add("src", asked.source, None)
    if not rehearse:
        _take_away(asked.source, there)
        target.sync()
    return _settle(asked, there, result, rehearse)


def _is_one_entry(asked: Wanted, target: Target) -> bool:
    """Whether both paths lead to the same name in the same directory, as through a link or a mount."""
    if os.path.basename(asked.source) != target.name:
        return False
    directory = os.open(os.path.dirname(asked.source), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return os.path.samestat(os.fstat(directory), os.fstat(target.directory))
    finally:
        os.close(directory)


def _settle(asked: Wanted, there: File, result: _Result, rehearse: bool) -> t.Dict[str, t.Any]:
    """Keep the target, and see that it has its rights."""
    before, after = asked.rights.of(there.stat), asked.rights.wanted()
    for name, value in after.items():
        result.difference.add(name, before[name], value)
    if before != after and not rehearse:
        asked.rights.give(there.descriptor)
    result.file(there.descriptor)
    return result.done()


# --- What is to be made -----------------------------------------------------------------------------------------------


def _judge(asked: Wanted, image: Image, result: _Result, room: t.Optional[Target] = None) -> None:
    """Raise ImageRefused for an image that is not adopted, and ImageFailed for one that *room* has no room for; tells of one that is."""
    if image.faults:
        raise ImageRefused(f"{asked.source} is not adopted: {'; '.join(image.faults)}.", faults=image.faults)
    if image.facts.format != "raw":
        if asked.method != "auto":
            problem = f"method is {asked.method}, which is for raw images alone, and {asked.source} is of the format {image.facts.format}"
            raise InvalidInput(f"{problem}: leave it out.")
        image.facts.virtual_size = qemu.check(image)
        if room:
            room.check_size(raw.rounded(image.facts.virtual_size))
        qemu.survey(image, room.check_room if room else None)
    if asked.digest is not None:
        if image.beside:
            raise InvalidInput(f"checksum is of {asked.source} alone, which is in {len(image.files)} files: check those before, and leave checksum out.")
        # A file whose renaming died may have been rounded up already.
        matches = raw.has_digest if asked.method == "rename" else _has_whole_digest
        if not matches(image.file.descriptor, image.file.size, asked.digest):
            raise ImageRefused(f"{asked.source} has not got the checksum that was asked for: it is another image, or was damaged on its way.")
    result.image(image)


def _has_whole_digest(descriptor: int, size: int, digest: str) -> bool:
    return raw.digest(descriptor, size) == digest


def _make(asked: Wanted, image: Image, target: Target, result: _Result, rehearse: bool) -> t.Dict[str, t.Any]:
    _judge(asked, image, result, target)
    size = raw.rounded(image.facts.virtual_size)
    result.difference.add("dest", None, {"path": asked.target, "size": size, "format": "raw", **asked.rights.wanted()})
    result.told.update(size=size, method=asked.method if image.facts.format == "raw" else "convert")
    if asked.method == "rename":
        _rename(asked, image, target, size, result, rehearse)
    elif rehearse:
        if not _may_share(asked, image, target):
            target.check_room(_needed(image))
    elif not _clone(asked, image, target, size, result):
        if asked.method == "reflink":
            problem = f"{asked.source} and {asked.target} cannot share blocks"
            raise ImageFailed(f"{problem}: their file system is not the same, or has no reflinks. Use method: auto.")
        _write(asked, image, target, size, result)
    return result.done()


def _write(asked: Wanted, image: Image, target: Target, size: int, result: _Result) -> None:
    target.check_room(_needed(image))
    with target.fresh(size) as file:
        if image.facts.format == "raw":
            raw.copy(image.file.descriptor, file.descriptor, image.file.size)
            result.told["method"] = "copy"
        else:
            qemu.convert(image, Shared(file.path, file.stat, ""), size)
        _complete(asked, image, target, file, size, result)


def _needed(image: Image) -> int:
    """The bytes that a raw file of it takes at most."""
    return raw.data_bytes(image.file.descriptor, image.file.size) if image.facts.format == "raw" else image.data


def _may_share(asked: Wanted, image: Image, target: Target) -> bool:
    """Whether the blocks could be shared, as far as can be told without trying."""
    return image.facts.format == "raw" and asked.method != "copy" and image.file.stat.st_dev == os.fstat(target.directory).st_dev


def _clone(asked: Wanted, image: Image, target: Target, size: int, result: _Result) -> bool:
    """Have the target share the source's blocks, where the method allows it; whether that was done."""
    if asked.method == "copy" or image.facts.format != "raw":
        return False
    with target.fresh(0) as file:
        if not raw.clone(image.file.descriptor, file.descriptor):
            return False
        os.truncate(file.descriptor, size)
        result.told["method"] = "reflink"
        _complete(asked, image, target, file, size, result)
    return True


def _complete(asked: Wanted, image: Image, target: Target, file: File, size: int, result: _Result) -> None:
    """The file has its contents: put it in its place."""
    image.check_unchanged()
    if os.fstat(file.descriptor).st_size != size:
        raise ImageFailed(f"{asked.target} became {os.fstat(file.descriptor).st_size} bytes and not {size}; it was removed again.")
    asked.rights.give(file.descriptor)
    target.put(file.descriptor)
    result.file(file.descriptor)


def _rename(asked: Wanted, image: Image, target: Target, size: int, result: _Result, rehearse: bool) -> None:
    """Give the source itself the target's name."""
    if image.file.stat.st_dev != os.fstat(target.directory).st_dev:
        raise ImageFailed(f"{asked.source} and {asked.target} are not on the same file system, so it cannot be renamed. Use method: auto.")
    if image.file.stat.st_nlink > 1:
        raise ImageRefused(f"{asked.source} has {image.file.stat.st_nlink} names, so it would still be in use by another: use method: auto.")
    result.difference.add("src", asked.source, None)
    if rehearse:
        return
    image.check_unchanged()
    descriptor = os.open(f"/proc/self/fd/{image.file.descriptor}", os.O_RDWR | os.O_CLOEXEC)
    try:
        os.truncate(descriptor, size)
        try:
            target.put(descriptor)
        except BaseException:
            os.truncate(descriptor, image.file.size)
            raise
        _take_away(asked.source, image.file)
        asked.rights.give(descriptor)
        target.sync()
        result.file(descriptor)
    finally:
        os.close(descriptor)


def _take_away(path: str, file: File) -> None:
    """Remove a name, if it is still that of *file*, which has another one."""
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        name = os.path.basename(path)
        if not os.path.samestat(os.stat(name, dir_fd=directory, follow_symlinks=False), file.stat):
            raise ImageRefused(f"{path} was replaced while it was renamed: look what is there now.")
        if os.fstat(file.descriptor).st_nlink < 2:
            raise ImageRefused(f"{path} is the only name of its file, so it was not removed: look what became of the other one.")
        os.unlink(name, dir_fd=directory)
        os.fsync(directory)
    finally:
        os.close(directory)


FORMATS = ("auto", *marks.FORMATS)
"""What the option format takes."""
