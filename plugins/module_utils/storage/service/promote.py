# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Giving a node the files of a master, out of its own database. Runs on the node, while no daemon there uses them.

What stock Ganeti asks of the next master is made true: that it is a master candidate, by name, address and certificate (Ganeti 3.0:
bootstrap.MasterFailover, server/noded.py). The files' owners are set by Ganeti's ensure-dirs afterwards.

What a death at any point leaves:
1. Before the mark, no file was touched; the same again begins anew. From the claim on the old master's service takes itself for replaced: where nobody
   goes on with the failover, ``--reclaim`` on the old master ends that.
2. From the mark (promotion_mark.py) until the configuration is in its place, the node is no master: Ganeti's own failover runs later. The same again
   writes the rest.
3. Until the archived jobs are in their place too, the node may be the master, and its service wakes: it adds to the databases and removes nothing,
   writes the archived jobs itself, and removes the mark. So does the same failover again. Whoever comes second finds nothing to do.
"""

from __future__ import annotations

import copy
import hashlib
import os
import re
import ssl
import time
import typing as t

from ..._errors import StorageFailed
from ..drivers import job_status
from ..drivers.conversion import copy_jobs
from ..drivers.disk import DiskStorage
from ..drivers.documents import Json
from ..drivers.epochs import EPOCH, Claim, raised
from ..drivers.interface import Queue, Storage
from . import begun_epoch, promotion_mark, unused_epoch

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.S)
_KEY = "/root/.ssh/id_{}.pub"
ASIDE = "before-promotion"
"""The directory, in the queue's, for jobs that a node had in its queue and its database has not: kept, and run no more."""


class Request(t.NamedTuple):
    """Who becomes the master, which nodes are dead, the highest serial number that anybody is known to have had, and the highest job id given out.

    And the *epoch* for which the node was elected, where it was.
    """

    name: str
    dead: t.List[str]
    seen: int
    job: int = 0
    epoch: t.Optional[int] = None

    def check(self, serial: int) -> None:
        """Raise StorageFailed where another epoch would begin with *serial* than the one that this node was elected for."""
        if self.epoch not in (None, serial // EPOCH):
            other = f"{serial // EPOCH} would begin: somebody else is at it"
            raise StorageFailed(f"{self.name} was elected for epoch {self.epoch}, and {other}. No file was written.")


def promote(storage: Storage, directory: str, request: Request) -> Json:
    """Write the files; what was written, and what the other nodes have to know. Raises StorageFailed before the first file is touched.

    The storage is claimed first, and then read: what whoever was the master until now may write from there on is not there, and not lost sight of either.
    """
    now = storage.configuration()
    digest, key = fingerprint(os.path.join(directory, "client.pem")), _public_key(now["cluster"])
    wanted = Claim(raised(max(now["serial_no"], request.seen)), _find(now, request.name)[0])
    request.check(wanted.serial)
    claim = storage.claim(wanted)
    now = storage.configuration()
    configuration = promoted(now, request._replace(seen=max(request.seen, claim.serial - 1)), digest, time.time())
    request.check(configuration["serial_no"])
    promotion_mark.begin(directory)
    begun_epoch.note(directory, wanted._replace(serial=configuration["serial_no"]))
    files = DiskStorage(directory, durable=False)
    here = storage.queue()
    strange = stale(here, files.queue(), _find(now, request.name)[1]["master_candidate"])
    files.set_aside(strange, ASIDE)
    # What is archived already has ended; the two databases are not replicated in step.
    jobs = len(strange) + copy_jobs(storage, files, here.jobs - here.archived, archived=False)
    files.write_serial(max(here.serial, *here.jobs, *here.archived, *files.queue().jobs, request.job))
    os.sync()  # the configuration last: it says that all the others are there
    files.write_configuration(configuration)
    os.sync()
    uuid, node = _find(configuration, request.name)
    candidates = {"master_candidates": request.name, "master_candidates_ips": node["primary_ip"], "master_candidates_certs": f"{uuid}={digest}"}
    return {"serial": configuration["serial_no"], "jobs": jobs, "candidates": candidates, "key": key}


def reserve(directory: str, request: Request) -> None:
    """Where Ganeti's own files are used as they are: begin a new epoch, and have no job id given out again that anybody knows of."""
    files = DiskStorage(directory, inherit=True)
    if files.last_job() < request.job:
        files.write_serial(request.job)
    configuration = files.configuration()
    unused_epoch.keep(directory, unused_epoch.made_of(directory, configuration))
    configuration.update(serial_no=raised(max(configuration["serial_no"], request.seen)), mtime=time.time())
    begun_epoch.note(directory, begun(configuration, request.name))
    files.write_configuration(configuration)


def stale(stored: Queue, files: Queue, candidate: bool) -> t.FrozenSet[int]:
    """The jobs that a node's files have in the queue from an earlier time, and that must not run again.

    On a master *candidate*, whose files Ganeti keeps, a job whose id the database has not seen given out is a newer one that somebody was told of: it stays.
    """
    last = max(stored.serial, *stored.jobs, *stored.archived, 0)
    return frozenset(number for number in files.jobs - (stored.jobs - stored.archived) if not candidate or number <= last)


def archive(storage: Storage, directory: str, wait: bool = True) -> t.Optional[int]:
    """Write the archived jobs as well, for which no client waits, and end the promotion; how many were written.

    None where there is nothing to do: no promotion is unfinished, or, without *wait*, somebody else is at it.
    """
    with promotion_mark.finishing(directory, wait) as mine:
        if not mine:
            return None
        files = DiskStorage(directory, durable=False, inherit=True)
        _end_archiving(storage, files)
        count = copy_jobs(storage, files, storage.queue().archived - files.queue().archived, archived=True)
        os.sync()
        return count


def _end_archiving(storage: Storage, files: DiskStorage) -> None:
    """Archive what was on its way to the archive; how a job has ended of which the end is not known, nobody here can say: it is put aside."""
    last = files.last_job()  # before: who restores or prunes may have removed jobs above it, and their ids will be given to others
    late = {number: job for number, job in storage.half_archived() if not files.holds(number) and not files.holds(number, archived=True)}
    ended = {number: job for number, job in late.items() if number <= last and job_status.status(job) in job_status.FINAL}
    files.put_aside({number: job for number, job in late.items() if number not in ended}, ASIDE)
    if ended:
        storage.write_jobs(ended, archived=True)


def promoted(configuration: Json, request: Request, digest: str, now: float) -> Json:
    """The configuration in which the node may become the master, and dead nodes are nobody's concern; raise StorageFailed where there is no such node."""
    result = copy.deepcopy(configuration)
    uuid, _node = _find(result, request.name)
    for each, node in result["nodes"].items():
        dead = node["name"] in request.dead
        candidate = each == uuid or (node["master_candidate"] and not dead)
        wanted = {"master_candidate": candidate, "offline": node["offline"] or dead}
        if {key: node[key] for key in wanted} != wanted:
            node.update(wanted, serial_no=node["serial_no"] + 1, mtime=now)
    certificates = result["cluster"]["candidate_certs"]
    kept = {each: value for each, value in certificates.items() if result["nodes"].get(each, {}).get("master_candidate")}
    result["cluster"].update(candidate_certs={**kept, uuid: digest}, serial_no=result["cluster"]["serial_no"] + 1, mtime=now)
    result.update(serial_no=raised(max(result["serial_no"], request.seen)), mtime=now)
    return result


def begun(configuration: Json, name: str) -> Claim:
    """With what a node begins an epoch, with a configuration that was made for that."""
    return Claim(configuration["serial_no"], _find(configuration, name)[0])


class Ready(t.NamedTuple):
    """A configuration with which a node may become the master, and what the other nodes have to know."""

    configuration: Json
    told: Json


def ready(configuration: Json, directory: str, request: Request, now: float) -> Ready:
    """Make both out of a configuration, be it the node's own or another's; raise StorageFailed where that cannot be."""
    digest = fingerprint(os.path.join(directory, "client.pem"))
    made = promoted(configuration, request, digest, now)
    uuid, node = _find(made, request.name)
    lines = {"master_candidates": request.name, "master_candidates_ips": node["primary_ip"], "master_candidates_certs": f"{uuid}={digest}"}
    return Ready(made, {"serial": made["serial_no"], "candidates": lines, "key": _public_key(made["cluster"])})


def _find(configuration: Json, name: str) -> t.Tuple[str, Json]:
    found = [(uuid, node) for uuid, node in configuration["nodes"].items() if node["name"] == name]
    if len(found) != 1:
        raise StorageFailed(f"The configuration in the database knows no node {name}: nothing was written.")
    return found[0]


def fingerprint(file: str) -> str:
    """The digest of a node's certificate, as Ganeti compares it (utils.GetCertificateDigest)."""
    try:
        with open(file, encoding="ascii") as stream:
            match = _CERTIFICATE.search(stream.read())
    except OSError as error:
        raise StorageFailed(f"Cannot read {file}, with which this node shows the others who it is: {error.strerror}.") from error
    if match is None:
        raise StorageFailed(f"{file} holds no certificate: add the node to the cluster again.")
    digest = hashlib.sha1(ssl.PEM_cert_to_DER_cert(match[0])).hexdigest().upper()
    return ":".join(digest[start : start + 2] for start in range(0, len(digest), 2))


def _public_key(cluster: Json) -> t.Optional[str]:
    """The key by which root of this node is to reach the others; None where Ganeti leaves SSH alone."""
    if not cluster.get("modify_ssh_setup", True):
        return None
    file = _KEY.format(cluster.get("ssh_key_type", "rsa"))
    try:
        with open(file, encoding="utf-8") as stream:
            return stream.read().strip() or None
    except OSError as error:
        raise StorageFailed(f"Cannot read {file}, with which a master reaches the other nodes: {error.strerror}.") from error
