# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Snapshots of what a storage holds: dated archives with the files that Ganeti itself would have, readable without a database."""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import tempfile
import time
import typing as t

from .._errors import InvalidInput, StorageFailed
from .base import Copied, Storage, convert
from .disk import DiskStorage

_NAME = re.compile(r"ganeti-\d{8}T\d{6}Z\.tar\.gz\Z")
_DIRECTORIES = ("queue", os.path.join("queue", "archive"))


def take(storage: Storage, directory: str, keep: int, now: float) -> str:
    """Write a snapshot into a directory and remove all but the newest *keep*; the snapshot's path. It is there as a whole or not at all."""
    if keep < 1:
        raise InvalidInput(f"keep is {keep}: keep one snapshot at least.")
    name = time.strftime("ganeti-%Y%m%dT%H%M%SZ.tar.gz", time.gmtime(now))
    try:
        os.makedirs(directory, 0o700, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".snapshot-", dir=directory) as work:
            _fill(storage, os.path.join(work, "files"))
            archive = os.path.join(work, name)
            with open(os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:  # it holds secrets
                with tarfile.open(fileobj=stream, mode="w:gz") as tar:
                    tar.add(os.path.join(work, "files"), "ganeti")
                stream.flush()
                os.fsync(stream.fileno())
            os.rename(archive, os.path.join(directory, name))
        for old in snapshots(directory)[keep:]:
            os.unlink(os.path.join(directory, old))
    except OSError as error:
        raise StorageFailed(f"Cannot write a snapshot into {directory}: {error.strerror or error}.") from error
    return os.path.join(directory, name)


def _fill(storage: Storage, directory: str) -> None:
    for each in ("", *_DIRECTORIES):
        os.mkdir(os.path.join(directory, each), 0o700)
    convert(storage, DiskStorage(directory, durable=False))  # what has to last is the archive


def snapshots(directory: str) -> t.List[str]:
    """The names of the snapshots in a directory, the newest first."""
    return sorted((name for name in os.listdir(directory) if _NAME.match(name)), reverse=True)


def restore(archive: str, storage: Storage) -> Copied:
    """Make a storage hold what a snapshot does, and nothing else. Raises StorageFailed where it is none, before anything is written."""
    with tempfile.TemporaryDirectory(prefix="ganeti-restore-") as work:
        try:
            with tarfile.open(archive, "r:gz") as tar:
                for member in tar:
                    _check(archive, member)
                    _put(tar, member, os.path.join(work, member.name))
        except (OSError, EOFError, tarfile.TarError) as error:
            raise StorageFailed(f"{archive} is no snapshot, or was cut off: {error}.") from error
        files = DiskStorage(os.path.join(work, "ganeti"))
        files.configuration()  # whole, or nothing is written
        return convert(files, storage, exact=True)


def _put(tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    """Put the content of a member in its place, without anything else that the archive says of it."""
    content = tar.extractfile(member)
    if content is None:
        os.makedirs(path, 0o700, exist_ok=True)
        return
    with open(path, "xb") as stream:
        shutil.copyfileobj(content, stream)


def _check(archive: str, member: tarfile.TarInfo) -> None:
    """Only files and directories below the one that snapshots have."""
    parts = member.name.split("/")
    if parts[0] != "ganeti" or ".." in parts or not (member.isfile() or member.isdir()):
        raise StorageFailed(f"{archive} holds {member.name!r}, which is in no snapshot: it is left alone.")
