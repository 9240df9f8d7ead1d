# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whether a node may become the master, and how: decisions alone, from what was found out."""

from __future__ import annotations

import typing as t

from ..drivers.documents import Json
from .standing import Standing, is_ahead, more
from .storage_comparison import lacking


class Situation(t.NamedTuple):
    """What is known before a failover: the new master's survey, which nodes can be reached by SSH, and of an old master among them its survey or why it
    has none, and what its files hold, if it has any. Once it is *stopped* they change no more, and everything in them counts."""

    survey: Json
    reached: t.FrozenSet[str]
    old_survey: t.Optional[Json]
    old_problem: t.Optional[str] = None
    old_files: t.Optional[Json] = None
    stopped: bool = False
    candidates: t.Mapping[str, Standing] = {}
    """How far the files of other master candidates have come that have told it; Ganeti keeps these, and only logs where one did not get them."""
    own: t.Optional[Standing] = None
    """How far those of the new master have, with the progress of its jobs, where it has told that."""

    @property
    def new(self) -> str:
        """The node that is to be the master."""
        return str(self.survey["name"])

    @property
    def old(self) -> str:
        """The master as the new one knows it."""
        return str(self.survey["master"])

    @property
    def from_files(self) -> bool:
        """Whether Ganeti itself has kept the node's files as new as the database, as it does for master candidates; and, where the old master is stopped,
        as new as that one's. Ganeti only logs it where a candidate did not get a file."""
        files, database = self.survey["files"], self.survey["database"]
        node = self.survey["nodes"].get(self.new)
        if files is None or node is None or not node["master_candidate"]:
            return False
        if (files["serial"], files["job"]) < (database["serial"], database["job"]):
            return False
        return not (self.stopped and self.old_files and lacking(files, self.old_files, archive=False))

    @property
    def behind(self) -> t.List[str]:
        """What the new master would not have of what the stopped old one's files hold, in words. All archived jobs are in the database, not in files."""
        if self.old_files is None:
            return [f"what nobody can tell ({self.old_problem or 'it has no whole configuration in its files'})"]
        if self.from_files:
            return lacking(self.survey["files"], self.old_files, archive=False)
        return lacking(self.survey["database"], self.old_files)

    @property
    def same(self) -> bool:
        """Whether all that the stopped old master has written is at the new one."""
        databases = self.old_survey is None or self.survey["contents"] == self.old_survey["contents"]
        return not self.behind and (self.from_files or databases)

    @property
    def standing(self) -> Standing:
        """How far that has come which the new master is made of."""
        if not self.from_files:
            return Standing(int(self.survey["serial"]), int(self.survey["database"]["job"]))
        found = Standing(int(self.survey["files"]["serial"]), int(self.survey["files"]["job"]))
        return self.own if self.own is not None and self.own[:2] == found[:2] else found

    @property
    def waited_for(self) -> t.Optional[Standing]:
        """How far an old master has come that is waited for: one that can be reached, and tells of its files. Where the new one is made of files, one that
        tells of its database alone is not (failover/run.py, _wait_for_all)."""
        held = self.old_files or (None if self.from_files else self.old_survey and self.old_survey["database"])
        return Standing(int(held["serial"]), int(held["job"])) if held else None

    @property
    def dead(self) -> t.List[str]:
        """The old master, where nobody could speak with it."""
        return [] if self.old in self.reached else [self.old]

    @property
    def voting(self) -> bool:
        """Whether most nodes can agree to the new master (Ganeti: bootstrap.MajorityHealthy); otherwise they are not asked."""
        return 2 * len(self.reached | {self.new}) > len(self.survey["nodes"])

    @property
    def seen(self) -> int:
        """The highest serial number that anybody is known to have had, or to have claimed the storage with."""
        return max(self._highest("serial", self.survey["serials"]), int(self.survey["claimed"]))

    @property
    def seen_job(self) -> int:
        """The highest job id that anybody is known to have given out: somebody waits for that job, so none other may get the id."""
        return self._highest("job", self.survey["job_serials"])

    def _highest(self, key: str, servers: Json) -> int:
        told = [each for each in servers.values() if isinstance(each, int)]
        held = [self.survey["database"], self.survey["files"], self.old_files, self.old_survey and self.old_survey["database"]]
        return max([*told, *(int(each[key]) for each in held if each)])

    @property
    def request(self) -> Json:
        """What the new master's files are to be made of (promote.Request)."""
        return {"name": self.new, "dead": self.dead, "seen": self.seen, "job": self.seen_job}

    @property
    def takeover(self) -> Json:
        """Ganeti's own failover, as ganeti_failover.py is given it: without asking the nodes where most of them, or the old master, do not answer."""
        options = [] if self.voting and not self.dead else ["--no-voting", "--yes-do-it"]
        addresses = [self.survey["nodes"][name]["address"] for name in self.dead]
        return {"argv": ["gnt-cluster", "master-failover", *options], "closed": [*addresses, self.survey["master_ip"]] if addresses else []}

    @property
    def away(self) -> t.List[str]:
        """Nodes that should be online, and cannot be told of the new master."""
        return sorted(name for name, node in self.survey["nodes"].items() if not node["offline"] and name not in {*self.reached, self.new, self.old})


def problems(situation: Situation, fenced: bool, accept_loss: bool) -> t.List[str]:
    """Why the failover is not to be: all reasons at once, each with what to do."""
    return [
        *of_node(situation.survey),
        *_of_old_master(situation, fenced),
        *([] if accept_loss or situation.from_files else _of_unknown(situation)),
        *([] if accept_loss else [f"{other.words}. {other.todo}, or set accept_loss" for other in _others(situation) if other.refuses]),
    ]


def losses(situation: Situation, accept_loss: bool) -> t.List[str]:
    """What is lost without anybody being kept from it: what others have beside; and what is accepted."""
    return [other.words for other in _others(situation) if accept_loss or not other.refuses]


def of_node(survey: Json) -> t.Iterator[str]:
    """What of the node itself, and of its Ganeti, keeps it from being the master."""
    name = survey["name"]
    node = survey["nodes"].get(name)
    if node is None:
        yield f"The configuration in {name}'s database knows no node of this name: see what is replicated there"
        return
    if node["offline"] or node["drained"] or not node["master_capable"]:
        yield f"The node {name} is offline, drained or not master capable: choose another node"
    if survey["installed"] is None:
        yield f"Ganeti's library is not found on {name}: install ganeti there, in the version of the cluster"
    elif survey["installed"] != survey["version"]:
        older = "an older" if survey["installed"] < survey["version"] else "a newer"
        yield f"The node {name} has {older} Ganeti ({survey['installed']}) than the configuration is of ({survey['version']}): choose another node"


def _of_old_master(situation: Situation, fenced: bool) -> t.Iterator[str]:
    if situation.dead and not fenced:
        yield (
            f"The master until now, {situation.old}, cannot be reached by SSH, so nobody can stop it: were it alive, there would be two masters. "
            "Make sure that it is off, then say so with fenced"
        )
    if not situation.voting and not fenced:
        yield "Most nodes cannot be reached, so this may be the smaller part of a cluster that has been cut in two: make sure of the others, then set fenced"


def _of_unknown(situation: Situation) -> t.Iterator[str]:
    """A reachable old master is waited for, so what its server has is no loss."""
    if situation.old_problem and situation.old_files is None:
        yield f"Nobody knows what the master until now, {situation.old}, has that others have not ({situation.old_problem}). Repair that, or set accept_loss"


class Other(t.NamedTuple):
    """Somebody who has what the new master has not: whether that keeps it from being one, what it is, and what to do to keep that.

    It does where that one is ahead. Where that one cannot be the master, later jobs do so only if jobs are acknowledged, so that somebody was told of them: as
    a master dies, who cannot take its place may well have been the first that got its last job, and all that can would wait for nobody.
    """

    refuses: bool
    words: str
    todo: str


def _others(situation: Situation) -> t.Iterator[Other]:
    """All of them. What an old master has that is waited for is no loss, whoever has it as well."""
    acknowledged = situation.survey["acknowledge"] > 1
    here, waited_for = situation.standing, situation.waited_for
    used = "its files" if situation.from_files else "its database"
    for name, whose, todo, there in [*_of_itself(situation), *_servers(situation), *_candidates(situation)]:
        found = more(there, here, used if name == situation.new else situation.new)
        if not found or (waited_for is not None and not more(there, waited_for, situation.old)):
            continue
        beside = more(here, there, "that one")
        but = f". {situation.new} has {'; '.join(beside)}" if beside else ""
        matters = acknowledged or there.serial > here.serial or _can_be_master(situation.survey["nodes"].get(name))
        yield Other(matters and is_ahead(there, here), f"{whose} {'; '.join(found)}{but}", todo)


def _can_be_master(node: t.Optional[Json]) -> bool:
    return node is not None and node["master_capable"] and not node["offline"] and not node["drained"]


_Row = t.Tuple[str, str, str, Standing]
"""Who has it, how a sentence about that begins, what to do to keep it, and how far that one has come."""


def _of_itself(situation: Situation) -> t.Iterator[_Row]:
    """What the new master itself has, and is not made of: its database or its files may have later jobs, while the other has later changes."""
    what, have = ("database", "has") if situation.from_files else ("files", "have")
    held = situation.survey[what]
    if held:
        todo = "Wait until its database has them, or make another node the master"
        yield situation.new, f"The {what} of {situation.new} itself {have}", todo, Standing(int(held["serial"]), int(held["job"]))


def _servers(situation: Situation) -> t.Iterator[_Row]:
    """The other databases."""
    jobs = situation.survey["job_serials"]
    for name, serial in sorted(situation.survey["serials"].items()):
        if isinstance(serial, int) and not (name == situation.old and situation.waited_for):
            known = name in situation.survey["nodes"]
            where, todo = ("standby", _to_make_it(situation, name)) if known else ("server of no node,", "Take a snapshot of it there")
            yield name, f"The {where} {name} has", todo, Standing(serial, jobs.get(name))


def _candidates(situation: Situation) -> t.Iterator[_Row]:
    """Ganeti's own copies, where the old master is not waited for."""
    for name, standing in [] if situation.waited_for else sorted(situation.candidates.items()):
        yield name, f"The files of the master candidate {name} have", _to_make_it(situation, name), standing


def _to_make_it(situation: Situation, name: str) -> str:
    if name == situation.old and name in situation.reached:
        return f"Repair what keeps {name} from telling of its files, and run this again"
    node = situation.survey["nodes"].get(name)
    if _can_be_master(node):
        return f"Make {name} the master"
    marks = [mark for mark in ("offline", "drained") if node and node[mark]]
    return f"Take a snapshot of it there, as {name} cannot be the master ({' and '.join(marks) or 'it is not master capable'})"
