# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What Ganeti's own files on a node hold, and making a master's files out of those of other nodes. No database and no settings are needed. Runs on the node.

A failover asks every node (`tell`), reads from those that have something newer (`read`), puts that beside the new master's files (`stage`), and then has
them taken (`take`), while no daemon of a master runs anywhere. What a death at any point leaves:

1. Until `take`, Ganeti's files are as they were; what was staged is put there anew by the next run.
2. In `take`, jobs come first and the configuration last. The configuration with its own serial number stays beside it until `finish`, which is after
   Ganeti's failover. So a configuration that begins an epoch and that no master has used yet is known as such by its number, and what it was made of can
   still be compared with what others have: its raised number says nothing of how new it is.
3. Whoever does the same again finds the same.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
import typing as t

from ..._errors import GanetiError, StorageFailed
from ..drivers import job_status
from ..drivers.disk import DIRECTORY, DiskStorage
from ..drivers.documents import Json
from . import begun_epoch, promote, unused_epoch
from .candidate_survey import installed
from .storage_comparison import digest, runs

_ASIDE = "before-promotion"


def tell(directory: str, _given: Json) -> Json:
    """What the node is, and what its files hold; ``files`` is None on a node that has none, as it is no master candidate, or with a ``problem``."""
    files = DiskStorage(directory)
    found: Json = {"name": _own_name(files), "master": files.master(), "installed": installed(), "unfinished": os.path.isdir(unused_epoch.place(directory))}
    found.update(files=None, problem=None)
    if os.path.exists(os.path.join(directory, "config.data")):
        try:
            found["files"] = _holdings(files, directory)
        except StorageFailed as error:
            found["problem"] = error.message
    return found


def _holdings(files: DiskStorage, directory: str) -> Json:
    present = files.configuration()
    configuration = unused_epoch.made_of(directory, present)
    queue = files.queue()
    jobs = dict(files.jobs(sorted(queue.jobs)))
    return {
        "serial": configuration["serial_no"],
        "raised": present["serial_no"],
        "job": max(queue.serial, *queue.jobs, *queue.archived, 0),
        "queue": {str(number): _brief(job) for number, job in jobs.items()},
        "damaged": sorted(number for number in queue.jobs - jobs.keys() if files.holds(number)),
        "archived": runs(queue.archived),
        "cluster": _cluster(configuration),
    }


def _own_name(files: DiskStorage) -> t.Optional[str]:
    """The name by which Ganeti knows the node that this is: its host name (netutils.Hostname.GetSysName)."""
    known = files.ssconf().get("node_list", "").split()
    for ask in (socket.gethostname, socket.getfqdn):  # the latter asks the DNS, which may take its time where much is broken
        name = ask()
        if name in known:
            return name
    return None


def _cluster(configuration: Json) -> Json:
    cluster = configuration["cluster"]
    flags = ("master_candidate", "master_capable", "offline", "drained")
    nodes = {node["name"]: {"address": node["primary_ip"], **{key: node[key] for key in flags}} for node in configuration["nodes"].values()}
    names = {"cluster_name": "cluster_name", "master_ip": "master_ip", "pool_size": "candidate_pool_size"}
    master = configuration["nodes"].get(cluster["master_node"], {}).get("name")
    return {"nodes": nodes, "master": master, "version": configuration["version"], **{name: cluster[key] for name, key in names.items()}}


def _brief(job: Json) -> Json:
    """A job in short. Its progress only grows while it runs, so of two states of it the one with the greater is the newer."""
    ranks = [job_status.RANK.get(each["status"], 0) for each in job["ops"]]
    progress = [sum(ranks), sum(len(each.get("log") or ()) for each in job["ops"]), int(bool(job.get("end_timestamp")))]
    return {"digest": digest(job), "progress": progress, "ended": all(rank == job_status.FINAL_RANK for rank in ranks)}


def read(directory: str, given: Json) -> Json:
    """The configuration, if that is asked for, and jobs by their ids; those that are gone meanwhile are left out."""
    files = DiskStorage(directory)
    found: Json = {name: {str(number): job for number, job in files.jobs(given[name], archived=name == "archived")} for name in ("jobs", "archived")}
    found["configuration"] = unused_epoch.made_of(directory, files.configuration()) if given["configuration"] else None
    return found


def stage(directory: str, given: Json) -> Json:
    """Put aside what `read` has read on another node; with ``first``, in the place of whatever is there of an earlier run."""
    staged = unused_epoch.place(directory)
    if given.get("first"):
        own = unused_epoch.made_of(directory, DiskStorage(directory).configuration()) if given.get("own") else None
        shutil.rmtree(os.path.join(staged, "queue"), ignore_errors=True)  # the configuration stays until it is replaced
        os.makedirs(staged, 0o700, exist_ok=True)  # as it holds secrets
        os.makedirs(os.path.join(staged, "queue"), 0o700)
        given = {**given, "configuration": own or given.get("configuration")}
    files = DiskStorage(staged, durable=False)
    if given.get("configuration"):
        files.write_configuration(given["configuration"])
    for name in ("jobs", "archived"):
        files.write_jobs({int(number): job for number, job in given.get(name, {}).items()}, archived=name == "archived")
    os.sync()
    return {}


def take(directory: str, given: Json) -> Json:
    """Have what is staged become the node's files, and begin an epoch; what the other nodes have to know. Raises before the first file is touched."""
    files, staged = DiskStorage(directory, durable=False, inherit=True), DiskStorage(unused_epoch.place(directory))
    request = promote.Request(given["name"], [], given["seen"], given["job"])
    ready = promote.ready(staged.configuration(), directory, request, time.time())
    queue, here = staged.queue(), files.queue()
    if files.has_queue():
        files.set_aside(sorted(here.jobs & set(given["aside"])), _ASIDE)
    for archived, numbers in ((True, queue.archived), (False, queue.jobs)):
        for number, job in staged.jobs(sorted(numbers), archived):
            files.write_jobs({number: job}, archived)
    files.write_serial(max(here.serial, request.job))
    os.sync()  # the configuration last: it says that all the others are there
    begun_epoch.note(directory, promote.begun(ready.configuration, request.name))
    files.write_configuration(ready.configuration)
    os.sync()
    return ready.told


def finish(directory: str, _given: Json) -> Json:
    """Forget what was staged, as the node is the master."""
    unused_epoch.forget(directory)
    return {}


STEPS: t.Mapping[str, t.Callable[[str, Json], Json]] = {"tell": tell, "read": read, "stage": stage, "take": take, "finish": finish}
"""What a failover asks of a node, by name."""


def main(step: str) -> int:
    """Do a step, with the request on standard input; the answer is printed as JSON."""
    try:
        sys.stdout.write(json.dumps(STEPS[step](DIRECTORY, json.load(sys.stdin))) + "\n")
    except (GanetiError, OSError) as error:
        sys.stdout.write(f"CRITICAL: {error}\n")
        return 2
    return 0
