# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Jobs, and waiting for them, with a database alone, by its news of changes: neither the master nor its sockets are asked.

A job's input is never shown, as it may hold private OS parameters, and neither are results: what Ganeti makes of a job, as an export's keys, may be
secret too.
"""

from __future__ import annotations

import functools
import time
import typing as t

from ..._errors import AuthenticationFailed, ConnectionFailed, InvalidInput, JobFailed, JobTimeout
from ...api import acknowledge, opcodes
from ...api.answers import fault
from ..drivers.documents import Json
from ..drivers.factory import open_members, open_server
from ..drivers.interface import Storage
from ..drivers.job_status import CANCELING, FINAL_RANK, RANK, RUNNING, WAITING, status
from ..service import acknowledged, settings

ENDED = "ended"
_SEEN = "seen"
STATES = (WAITING, RUNNING, ENDED)
"""What can be waited for. A job that has gone further has reached it too."""

_NEEDED = {_SEEN: 0, WAITING: RANK[WAITING], RUNNING: RANK[RUNNING], ENDED: FINAL_RANK}
_POLL = 20.0
"""Seconds that a long poll takes at most. A connection through which nothing comes any more is noticed after these and the next."""
_PAUSE = 0.5
"""Seconds until a server that did not answer is asked again."""
_ARRIVAL = 10.0
"""Seconds that a document may be on its way: a new job's to the database, an archived job's to the other database."""
_HURRY = 1.0
"""Seconds that a long poll takes at most while one is."""
_PATIENCE = 60.0
"""Seconds that an answer may take; what is not answered is asked again."""

# What an opcode is about (Ganeti 3.0: OP_DSC_FIELD in opcodes.py). Those of which a field of this name is not the subject have none.
_SUBJECTS = ("instance_name", "node_name", "group_name", "network_name")
_OTHER_SUBJECTS = {"OP_CLUSTER_RENAME": "name", "OP_TAGS_GET": "name", "OP_QUERY": "what", "OP_QUERY_FIELDS": "what", "OP_TAGS_SEARCH": "pattern",
                   "OP_TEST_ALLOCATOR": "iallocator", "OP_TEST_DELAY": "duration"}  # fmt: skip


def reached(now: str, wanted: str) -> bool:
    """Whether a job of this status has reached what is waited for, one of STATES."""
    return RANK.get(now, 0) >= _NEEDED[wanted]


def describe(number: int, job: Json, archived: bool) -> Json:
    """A job for people: no inputs and no results, and of the log only what Ganeti says in words. Times are seconds since the epoch."""
    return {
        "id": number,
        "status": status(job),
        "archived": archived,
        "received": _seconds(job.get("received_timestamp")),
        "started": _seconds(job.get("start_timestamp")),
        "ended": _seconds(job.get("end_timestamp")),
        "opcodes": [_describe_opcode(each) for each in job["ops"]],
    }


def _describe_opcode(op: Json) -> Json:
    given = op.get("input") or {}
    failed = op["status"] in ("error", "canceled")
    # Other kinds than "message" are for programs, and hold what proves one cluster to another (Ganeti: ELOG_REMOTE_IMPORT).
    said = [entry[3] for entry in op.get("log") or [] if entry[2] == "message" and isinstance(entry[3], str)]
    return {
        "summary": summary(given),
        "status": op["status"],
        "started": _seconds(op.get("start_timestamp")),
        "ended": _seconds(op.get("end_timestamp")),
        "log": [opcodes.scrub(text, given) for text in said],
        "error": opcodes.scrub(fault(op.get("result")).message, given) if failed else None,
    }


def summary(given: Json) -> str:
    """An opcode in a word, as Ganeti shows it: "INSTANCE_CREATE(web1.example.com)" (Ganeti: opcodes_base.py, Summary)."""
    op_id = str(given.get("OP_ID", "OP_UNKNOWN"))
    name = _OTHER_SUBJECTS.get(op_id) or next((each for each in _SUBJECTS if given.get(each)), "")
    summary = op_id[3:] if op_id.startswith("OP_") else op_id
    return f"{summary}({given[name]})" if given.get(name) not in (None, "") else summary


def _seconds(stamp: t.Any) -> t.Optional[float]:
    """A timestamp [seconds, microseconds] of a job's file."""
    return None if not stamp else stamp[0] + stamp[1] / 1e6


class Sight(t.NamedTuple):
    """A job as it was last seen, if it was; and whether its document is gone from the queue since."""

    job: t.Optional[Json] = None
    archived: bool = False
    gone: bool = False


def look(sight: Sight, news: t.Optional[Json]) -> Sight:
    """What news of a job add to what was seen. One that is gone from the queue has not ended for that: it may be in the archive."""
    return sight._replace(gone=not sight.archived) if news is None else Sight(news)


def open_jobs(sights: t.Mapping[int, Sight], wanted: str) -> t.List[int]:
    """The jobs that have not reached what is waited for."""
    return [number for number, sight in sights.items() if sight.job is None or not reached(status(sight.job), wanted)]


def lost(sights: t.Mapping[int, Sight], numbers: t.Iterable[int]) -> t.List[int]:
    """Those of the jobs that are not to be seen now: never seen, or gone from the queue and not in the archive."""
    return [number for number in numbers if sights[number].job is None or sights[number].gone]


class JobWatcher:
    """Waits for jobs that are in a storage; of no other cluster than *expected*, where that is named."""

    def __init__(self, storage: Storage, numbers: t.Collection[int], expected: t.Optional[str] = None) -> None:
        self._storage = storage
        self._feed = storage.feed(numbers)
        self._heard = False
        self._expected = expected
        self.sights: t.Dict[int, Sight] = {number: Sight() for number in numbers}

    def wait(self, wanted: str, seconds: float) -> t.Dict[int, Json]:
        """The jobs as `describe` tells of them, when all have reached *wanted*.

        Raises InvalidInput for jobs that are not there and for another cluster's databases, JobTimeout where it takes too long, ConnectionFailed
        where the server was away at the end, AuthenticationFailed at once, and StorageFailed for databases or documents that are not Ganeti's.
        """
        deadline = time.monotonic() + seconds
        missed: t.Dict[int, float] = {}
        while True:
            problem = self._step(0.0 if not self._heard else min(_POLL, max(0.0, deadline - time.monotonic())), bool(missed))
            left = open_jobs(self.sights, wanted)
            if not left:
                return self.told()
            now = time.monotonic()
            if problem is None:
                missed = {number: missed.get(number, now) for number in lost(self.sights, left)}
                self._refuse([number for number, first in missed.items() if now - first >= _ARRIVAL or now >= deadline])
            if now >= deadline:
                raise problem or self._timeout(left, wanted, seconds)

    def told(self) -> t.Dict[int, Json]:
        """The jobs that were seen."""
        return {number: describe(number, sight.job, sight.archived) for number, sight in self.sights.items() if sight.job is not None}

    def _step(self, seconds: float, hurry: bool) -> t.Optional[ConnectionFailed]:
        """Wait for a change and note what is new; the problem where the server is away, which may pass."""
        try:
            self._check_cluster()
            self._listen(min(seconds, _HURRY) if hurry else seconds)
            self._search_archive()
        except AuthenticationFailed:  # waiting makes no password right, and CouchDB locks who tries again and again
            raise
        except ConnectionFailed as error:
            time.sleep(_PAUSE)
            return error
        return None

    def _check_cluster(self) -> None:
        """Raise InvalidInput where the databases are not those of the cluster that is expected; once, when the server first answers."""
        if self._expected is None:
            return
        found = self._storage.cluster_name() or "no cluster"
        if found != self._expected:
            url = self._storage.where
            raise InvalidInput(f"Wrong cluster: the databases at {url} are of {found}, not of {self._expected}. Correct the server, or cluster_name.")
        self._expected = None

    def _listen(self, seconds: float) -> None:
        for number, news in self._feed.news(seconds).items():
            self.sights[number] = look(self.sights[number], news)
        self._heard = True

    def _search_archive(self) -> None:
        """Look there for jobs that are not in the queue. On a standby either database may be the first to have the news."""
        numbers = [number for number in lost(self.sights, self.sights) if not self.sights[number].archived]
        for number, job in self._storage.jobs(numbers, archived=True) if numbers else ():
            self.sights[number] = Sight(job, archived=True)

    def _refuse(self, numbers: t.Sequence[int]) -> None:
        if not numbers:
            return
        given = self._storage.last_job()
        last = "no id was given out yet" if not given else f"the last id given out is {given}"
        names = ", ".join(map(str, numbers))
        seen = [number for number in numbers if self.sights[number].job is not None]
        why = "it was removed before it was seen to end" if seen else f"it never was, or was removed; {last}"
        raise InvalidInput(f"There is no job {names} in the databases at {self._storage.where}: {why}.", jobs=list(self.told().values()))

    def _timeout(self, left: t.Sequence[int], wanted: str, seconds: float) -> JobTimeout:
        states = ", ".join(f"{number} is {status(sight.job) if sight.job else 'not there'}" for number, sight in self.sights.items() if number in left)
        words = f"Not all jobs are {wanted} after {seconds:g} s: {states}. They go on; wait again, or follow them with gnt-job watch on the master."
        return JobTimeout(words, jobs=list(self.told().values()))


def tell(params: t.Mapping[str, t.Any]) -> Json:
    """Do what the parameters of the module job_info say; its result. Raises GanetiError."""
    numbers = list(dict.fromkeys(params["jobs"]))
    wrong = [number for number in numbers if number < 1]
    if wrong or not numbers:
        raise InvalidInput(f"{', '.join(map(str, wrong)) or 'Nothing'} is no job's id: give numbers as gnt-job list shows them.")
    if params["timeout"] < 0:
        raise InvalidInput(f"timeout is {params['timeout']}: give the seconds to wait at most.")
    # A job that was just submitted, and a server that is away for a moment, are waited for even where nothing else is.
    wanted, seconds = (params["until"], params["timeout"]) if params["wait"] else (_SEEN, _ARRIVAL)
    with _open(params) as storage:
        jobs = JobWatcher(storage, numbers, params["cluster_name"]).wait(wanted, seconds)
        result = {"jobs": [jobs[number] for number in numbers], "server": storage.where}
    if params["server"] is None and params["etcd"] is None:
        _acknowledge(settings.read(params["settings_file"]), result)
    if params["wait"] if params["fail"] is None else params["fail"]:
        check(result)
    return result


def _acknowledge(chosen: settings.Settings, result: Json) -> None:
    """Tell of no job, or of its end, before as many servers have it as backend_storage was told."""
    for each in result["jobs"] if chosen.acknowledge else ():
        ask = functools.partial(_ask, chosen, {"job": each["id"], "status": each["status"]})
        acknowledge.wait(ask, f"Job {each['id']} ({each['status']})")


def _ask(chosen: settings.Settings, request: Json) -> acknowledge.Seen:
    return acknowledge.Seen(**acknowledged.answer(chosen, request))


def _open(params: t.Mapping[str, t.Any]) -> Storage:
    """The server or etcd that is given, from wherever this runs; else the storage of the node that this is."""
    if params["server"] is not None:
        return open_server(params["server"], _PATIENCE)
    if params["etcd"] is not None:
        return open_members(params["etcd"], _PATIENCE)
    return settings.read(params["settings_file"]).open(_PATIENCE)


def check(result: Json) -> None:
    """Raise JobFailed where a job has failed or was cancelled; the message names each and says why."""
    bad = [each for each in result["jobs"] if each["status"] in ("error", "canceled", CANCELING)]
    if bad:
        raise JobFailed("; ".join(_reason(each) for each in bad) + ".", **result)


def _reason(job: Json) -> str:
    name = f"Job {job['id']} ({', '.join(each['summary'] for each in job['opcodes'])})"
    if job["status"] != "error":
        return f"{name} was cancelled"
    why = next((each["error"] for each in job["opcodes"] if each["status"] == "error"), "no reason was given")
    return f"{name} failed: {why.rstrip('.')}"
