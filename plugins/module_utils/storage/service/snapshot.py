# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Snapshots of what a storage holds: dated archives with the files that Ganeti itself would have, readable without a database."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tarfile
import tempfile
import time
import typing as t

from ..._errors import InvalidInput, StorageFailed
from ..._files import sync_directory
from ..drivers.conversion import Copied, convert
from ..drivers.disk import DiskStorage
from ..drivers.epochs import claim_of
from ..drivers.interface import Storage

_NAME = re.compile(r"ganeti-\d{8}T\d{6}Z(?:-(\d+))?\.tar\.gz\Z")
"""The time, which is for people, and a number that grows with each snapshot in a directory, which is the order: a clock may have been wrong."""
_DIRECTORIES = ("queue", os.path.join("queue", "archive"))


def take(storage: Storage, directory: str, keep: int, now: float) -> str:
    """Write a snapshot into a directory and remove all but the newest *keep*; the snapshot's path. It is there as a whole or not at all."""
    if keep < 1:
        raise InvalidInput(f"keep is {keep}: keep one snapshot at least.")
    try:
        os.makedirs(directory, 0o700, exist_ok=True)
        number = 1 + max(map(_number, snapshots(directory)), default=0)
        name = time.strftime(f"ganeti-%Y%m%dT%H%M%SZ-{number:06d}.tar.gz", time.gmtime(now))
        with tempfile.TemporaryDirectory(prefix=".snapshot-", dir=directory) as work:
            _fill(storage, os.path.join(work, "files"))
            archive = os.path.join(work, name)
            with open(os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:  # it holds secrets
                with tarfile.open(fileobj=stream, mode="w:gz") as tar:
                    tar.add(os.path.join(work, "files"), "ganeti")
                stream.flush()
                os.fsync(stream.fileno())
            os.rename(archive, os.path.join(directory, name))
        sync_directory(directory)
        for old in snapshots(directory)[keep:]:
            if old != name:
                _remove(os.path.join(directory, old))
    except OSError as error:
        raise StorageFailed(f"Cannot write a snapshot into {directory}: {error.strerror or error}.") from error
    return os.path.join(directory, name)


def _fill(storage: Storage, directory: str) -> None:
    for each in ("", *_DIRECTORIES):
        os.mkdir(os.path.join(directory, each), 0o700)
    convert(storage, DiskStorage(directory, durable=False))  # what has to last is the archive


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # somebody else was faster
        os.unlink(path)


def snapshots(directory: str) -> t.List[str]:
    """The names of the snapshots in a directory, the newest first."""
    return sorted((name for name in os.listdir(directory) if _NAME.match(name)), key=lambda name: (_number(name), name), reverse=True)


def _number(name: str) -> int:
    """A snapshot's number; 0 where it has none, as those of earlier versions."""
    match = _NAME.match(name)
    return int(match[1] or 0) if match else 0


class Owner(t.NamedTuple):
    """Which cluster something is of; its UUID stays when it is renamed."""

    uuid: t.Optional[str]
    name: t.Optional[str]

    def __str__(self) -> str:
        return f"{self.name or 'a cluster without a name'} ({self.uuid or 'without UUID'})"


def owner(storage: Storage) -> t.Optional[Owner]:
    """Whose configuration a storage holds, or held when it was whole; None where nothing in it tells."""
    try:
        cluster = storage.configuration()["cluster"]
        return Owner(cluster.get("uuid"), cluster["cluster_name"])
    except (StorageFailed, KeyError):
        name = storage.ssconf().get("cluster_name", "").strip()
    return Owner(None, name) if name else None


def strange(its: t.Optional[Owner], mine: t.Optional[Owner], empty: bool) -> t.Optional[str]:
    """Why a snapshot that is *its* must not take the place of what is *mine*, in words; *empty* is whether that holds no job."""
    if mine is None:
        return None if empty else "nobody can tell which cluster the jobs are of that are there now"
    if its is None or (its.uuid != mine.uuid if its.uuid and mine.uuid else its.name != mine.name):
        return f"it is of {its or 'nobody knows which cluster'}, and what is there now is of {mine}"
    return None


def restore(archive: str, storage: Storage, files: t.Optional[Storage] = None, another: bool = False, claim: bool = False) -> Copied:
    """Make a storage hold what a snapshot does, and nothing else; with *claim*, as the master whose configuration that is, else as who has claimed it.

    Raises StorageFailed, before anything is written, where it is none; and InvalidInput where it is one of another cluster than the storage or, if that
    is empty, than *files* are, unless *another* says that it may be; and StorageFenced where a newer master has claimed the storage.
    """
    with tempfile.TemporaryDirectory(prefix="ganeti-restore-") as work:
        try:
            with tarfile.open(archive, "r:gz") as tar:
                for member in tar:
                    _check(archive, member)
                    _put(tar, member, os.path.join(work, member.name))
        except (OSError, EOFError, tarfile.TarError) as error:
            raise StorageFailed(f"{archive} is no snapshot, or was cut off: {error}.") from error
        taken = DiskStorage(os.path.join(work, "ganeti"))
        configuration = taken.configuration()  # whole, or nothing is written
        if not another:
            _refuse_strange(archive, owner(taken), storage, files)
        if claim:
            storage.claim(claim_of(configuration))
        return convert(taken, storage, exact=True)


def _refuse_strange(archive: str, its: t.Optional[Owner], storage: Storage, files: t.Optional[Storage]) -> None:
    queue = storage.queue()
    mine = owner(storage) or (owner(files) if files else None)
    why = strange(its, mine, not queue.jobs | queue.archived)
    if why:
        raise InvalidInput(f"{archive} is not restored: {why}. If that is what you want, say so with --another-cluster.")


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
