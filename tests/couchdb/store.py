# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All databases of a server, in a directory."""

from __future__ import annotations

import re
import threading
import urllib.parse
from pathlib import Path

from .database import Database
from .errors import BadRequest, HttpError, NotFound
from .log import sync_directory

SUFFIX = ".jsonl"
SYSTEM = ("_users", "_replicator")
NAME = re.compile(r"[a-z][a-z0-9_$()+/-]*")


class Store:
    """Databases by name. Those of the system are always there. What is *volatile* is not brought to stable storage."""

    def __init__(self, directory: Path, volatile: bool = False) -> None:
        self.directory = directory
        self._volatile = volatile
        self._lock = threading.Lock()
        self._databases: dict[str, Database] = {}
        for path in sorted(directory.glob(f"*{SUFFIX}")):
            database = Database("", path, volatile=volatile)
            self._databases[database.name] = database
        for name in SYSTEM:
            if name not in self._databases:
                self.create(name)

    def _path(self, name: str) -> Path:
        return self.directory / (urllib.parse.quote(name, safe="") + SUFFIX)

    def names(self) -> list[str]:
        """The names of all databases."""
        with self._lock:
            return sorted(self._databases)

    def get(self, name: str) -> Database:
        """The database of that name."""
        database = self._databases.get(name)
        if database is None:
            raise NotFound("Database does not exist.")
        return database

    def create(self, name: str) -> None:
        """Make a database."""
        check_name(name)
        with self._lock:
            if name in self._databases:
                raise HttpError(412, "file_exists", "The database could not be created, the file already exists.")
            self._databases[name] = Database(name, self._path(name), create=True, volatile=self._volatile)

    def delete(self, name: str) -> None:
        """Remove a database with all that is in it."""
        with self._lock:
            self.get(name).close()
            del self._databases[name]
            self._path(name).unlink()
            if not self._volatile:
                sync_directory(self.directory)


def check_name(name: str) -> None:
    """Refuse what is not the name of a database."""
    if name not in SYSTEM and not NAME.fullmatch(name):
        raise BadRequest(
            f"Name: '{name}'. Only lowercase characters (a-z), digits (0-9), and any of the characters "
            "_, $, (, ), +, -, and / are allowed. Must begin with a letter.",
            "illegal_database_name",
        )
