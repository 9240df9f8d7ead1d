# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file of JSON lines to which is only appended, and which is on stable storage before a write is answered, unless it is volatile."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from .json_text import dumps, loads


def sync_directory(path: Path) -> None:
    """Make a new, renamed or removed name in the directory permanent."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


class Log:
    """The records of one database. A *volatile* one outlives the process, as all files do, but not the machine."""

    def __init__(self, path: Path, volatile: bool = False) -> None:
        self.path = path
        self.volatile = volatile
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - open for as long as the database is
        self._broken = False

    @classmethod
    def create(cls, path: Path, records: list[dict[str, t.Any]], volatile: bool = False) -> Log:
        """A new log with these records; it replaces another of that name, or nothing happened."""
        partial = path.with_suffix(".partial")
        with open(partial, "wb") as file:
            for record in records:
                file.write(_line(record))
            file.flush()
            if not volatile:
                os.fsync(file.fileno())
        os.replace(partial, path)
        if not volatile:
            sync_directory(path.parent)
        return cls(path, volatile)

    def append(self, record: dict[str, t.Any]) -> None:
        """Add a record; it is on stable storage when this returns, unless this is volatile."""
        if self._broken:
            raise OSError(f"{self.path}: an earlier write failed")
        data = _line(record)
        try:
            written = self._file.write(data)
            if not self.volatile:
                os.fsync(self._file.fileno())
        except OSError:
            self._broken = True
            raise
        if written != len(data):  # later records must not follow half a line
            self._broken = True
            raise OSError(f"{self.path}: no room for all of a record")

    def close(self) -> None:
        """No more records."""
        self._file.close()

    @staticmethod
    def replay(path: Path) -> t.Iterator[dict[str, t.Any]]:
        """All records. What follows the last line feed was never acknowledged and is cut off."""
        complete = 0
        with open(path, "rb+") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    file.truncate(complete)
                    os.fsync(file.fileno())
                    return
                complete += len(line)
                yield loads(line)


def _line(record: dict[str, t.Any]) -> bytes:
    return dumps(record).encode() + b"\n"
