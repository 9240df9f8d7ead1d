# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The service as one file that runs on nodes with Python alone: an archive that ``python3`` takes as a program."""

from __future__ import annotations

import io
import types
import typing as t
import zipfile

# Written out, as Ansible packs with a module only what it sees imported by name.
from .. import _errors
from . import (
    aside,
    base,
    claims,
    client,
    conflicts,
    contents,
    couchdb,
    disk,
    documents,
    files,
    follow,
    health,
    history,
    holdings,
    inotify,
    promote,
    promotion,
    recent,
    removal,
    replication,
    service,
    settings,
    snapshot,
    standbys,
    survey,
    whole,
)

_PACKAGE = "ganeti_couchdb"
_STORAGE: t.Tuple[types.ModuleType, ...] = (
    aside, base, claims, client, conflicts, contents, couchdb, disk, documents, files, follow, health, history, holdings, inotify, promote, promotion, recent,
    removal, replication, service, settings, snapshot, standbys, survey, whole,
)  # fmt: skip
_MAIN = f"from {_PACKAGE}.storage.service import main\nraise SystemExit(main())\n"
_TIME = (2020, 1, 1, 0, 0, 0)
"""Of all members, so that the same sources make the same bytes."""


def program() -> bytes:
    """The archive; the same bytes for the same sources."""
    members = {"__main__.py": _MAIN, f"{_PACKAGE}/__init__.py": "", f"{_PACKAGE}/_errors.py": source(_errors), f"{_PACKAGE}/storage/__init__.py": ""}
    members.update({f"{_PACKAGE}/storage/{module.__name__.rpartition('.')[2]}.py": source(module) for module in _STORAGE})
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(members.items()):
            archive.writestr(zipfile.ZipInfo(name, _TIME), text)
    return stream.getvalue()


def source(module: types.ModuleType) -> str:
    """The text of a module, be it a file or a member of the archive that Ansible makes of a module."""
    loader = t.cast(t.Any, module.__loader__)
    return str(loader.get_source(module.__name__))
