# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What runs on nodes with Python alone: the service as one archive that ``python3`` takes as a program, and small modules as texts for ``python3 -c``.

All of ``drivers`` and ``service`` is in the archive, but for this file. On nodes its package has the name that it had from the first.
"""

from __future__ import annotations

import io
import types
import typing as t
import zipfile

# Written out, as Ansible packs with a module only what it sees imported by name.
from ... import _errors, _files
from ..drivers import addresses, bad_job_files, conversion, disk, documents, epochs, factory, interface, job_status, reread
from ..drivers.couchdb import (
    ballot,
    bulk,
    carried,
    changes_feed,
    client,
    conflicts,
    description,
    fence,
    half_archived,
    last_writes,
    notes,
    other_cluster,
    pieces,
    preparation,
    push,
    replication,
    revisions,
    seen,
    server_check,
    server_comparison,
    standbys,
    storage,
    whole_configuration,
)
from ..drivers.etcd import changes, endpoints, layout, members, wire
from ..drivers.etcd import client as etcd_client
from ..drivers.etcd import fence as etcd_fence
from ..drivers.etcd import notes as etcd_notes
from ..drivers.etcd import revisions as etcd_revisions
from ..drivers.etcd import storage as etcd_storage
from . import (
    acknowledged,
    admit_candidate,
    begun_epoch,
    candidate_files,
    candidate_survey,
    commands,
    ending,
    follow,
    ganeti_failover,
    health,
    inotify,
    main,
    mastership,
    one_writer,
    promote,
    promotion_mark,
    removal,
    settings,
    shared_epoch,
    signs_of_life,
    situation,
    snapshot,
    standing,
    storage_comparison,
    taken_over,
    tend,
    unused_epoch,
)
from .watchdog import admission, arming, decision, deeds, fence_command, messages, options, sight, takeover, watcher

_PACKAGE = "ganeti_couchdb"
_MODULES: t.Tuple[types.ModuleType, ...] = (
    _errors, _files,
    addresses, bad_job_files, conversion, disk, documents, epochs, factory, interface, job_status, reread,
    ballot, bulk, carried, changes_feed, client, conflicts, description, fence, half_archived, last_writes, notes, other_cluster, pieces, preparation, push,
    replication, revisions, seen, server_check, server_comparison, standbys, storage, whole_configuration,
    changes, endpoints, etcd_client, etcd_fence, etcd_notes, etcd_revisions, etcd_storage, layout, members, wire,
    acknowledged, admit_candidate, begun_epoch, candidate_files, candidate_survey, commands, ending, follow, ganeti_failover, health, inotify, main,
    mastership, one_writer, promote, promotion_mark, removal, settings, shared_epoch, signs_of_life, situation, snapshot, standing, storage_comparison,
    taken_over, tend, unused_epoch,
    admission, arming, decision, deeds, fence_command, messages, options, sight, takeover, watcher,
)  # fmt: skip
_PACKAGES = ("", "storage/", "storage/drivers/", "storage/drivers/couchdb/", "storage/drivers/etcd/", "storage/service/", "storage/service/watchdog/")
_ROOT = __name__.rsplit(".", 3)[0]
"""The package of which all of these are parts here."""
_MAIN = f"from {_PACKAGE}.storage.service.main import main\nraise SystemExit(main())\n"
_TIME = (2020, 1, 1, 0, 0, 0)
"""Of all members, so that the same sources make the same bytes."""
_SCRIPT = """\
import sys, types
for name, text in (({files!r}, {helper!r}), ("__main__", {text!r})):
    module = sys.modules.setdefault(name, types.ModuleType(name))
    module.__package__ = {package!r}
    exec(compile(text, name, "exec"), module.__dict__)
"""


def program() -> bytes:
    """The archive; the same bytes for the same sources."""
    members = {"__main__.py": _MAIN, **{f"{_PACKAGE}/{package}__init__.py": "" for package in _PACKAGES}}
    members.update({f"{_PACKAGE}/{_inside(module).replace('.', '/')}.py": source(module) for module in _MODULES})
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(members.items()):
            archive.writestr(zipfile.ZipInfo(name, _TIME), text)
    return stream.getvalue()


def script(module: types.ModuleType) -> str:
    """A module as a program for ``python3 -c``; of this collection it may import ``_files`` alone."""
    package, _dot, _name = f"{_PACKAGE}.{_inside(module)}".rpartition(".")
    return _SCRIPT.format(files=f"{_PACKAGE}._files", helper=source(_files), text=source(module), package=package)


def _inside(module: types.ModuleType) -> str:
    """The name of a module below the package of all."""
    return module.__name__[len(_ROOT) + 1 :]


def source(module: types.ModuleType) -> str:
    """The text of a module, be it a file or a member of the archive that Ansible makes of a module."""
    loader = t.cast(t.Any, module.__loader__)
    return str(loader.get_source(module.__name__))
