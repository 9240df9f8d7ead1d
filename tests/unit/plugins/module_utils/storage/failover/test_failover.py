# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a node may become the master, the files it gets, and what the other nodes are told."""

from __future__ import annotations

import copy
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed, GanetiError, PreflightFailed, StorageFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.conversion import convert
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.factory import open_storage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.interface import Queue
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.failover import hosts, run
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import admit_candidate, ganeti_failover, promote, promotion_mark
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.candidate_survey import of_files, survey
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.program import script
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.promote import Request
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.situation import Situation, losses, problems
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.standing import Standing
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.storage_comparison import lacking, numbers, runs
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog.decision import ACT, GONE, View, decide
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog.decision import Situation as Watched

from ..samples import cluster, job
from ..servers import options


def held(serial=20, job=7, queue=None, archived=()):
    """What a storage holds, as it is told from afar."""
    return {"serial": serial, "job": job, "queue": {"7": "aa"} if queue is None else queue, "archived": list(archived)}


SURVEY = {
    "name": "a2", "storage": "couchdb", "claimed": 0, "cluster_name": "alpha.lab.example", "serial": 20, "behind": 0, "serials": {"a1": "away", "a3": 20},
    "pool_size": 1, "version": 3000000, "installed": 3000000, "master": "a1", "master_ip": "10.0.0.10", "files": None, "contents": {}, "unfinished": False,
    "database": held(), "job_serials": {"a3": 7}, "acknowledge": 0,
    "nodes": {each["name"]: {"uuid": each["uuid"], "address": each["primary_ip"], **{key: each[key] for key in
              ("master_candidate", "master_capable", "offline", "drained")}} for each in cluster()["nodes"].values()},
}  # fmt: skip


def situation(reached=("a1", "a3"), old=None, why=None, **changes):
    """What a controller finds; all is well but for the changes."""
    found = copy.deepcopy({**SURVEY, **changes})
    there = {**SURVEY, "files": held()} if "a1" in reached and not why else None
    old = old or there
    return Situation(found, frozenset(reached), old, why, old and old["files"])


def test_nothing_speaks_against_it():
    assert problems(situation(), fenced=False, accept_loss=False) == []
    assert problems(situation(["a3"]), fenced=True, accept_loss=False) == []


def nodes(**changes):
    """The survey's nodes with changes of a2."""
    return {**SURVEY["nodes"], "a2": {**SURVEY["nodes"]["a2"], **changes}}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (situation(["a3"]), "The master until now, a1, cannot be reached by SSH"),
        (situation([]), "Most nodes cannot be reached"),
        (situation(nodes=nodes(offline=True)), "a2 is offline, drained or not master capable"),
        (situation(nodes=nodes(drained=True)), "a2 is offline, drained or not master capable"),
        (situation(nodes={"a1": SURVEY["nodes"]["a1"]}), "knows no node of this name"),
        (situation(installed=2160000), "has an older Ganeti"),
        (situation(installed=3010000), "has a newer Ganeti"),
        (situation(installed=None), "Ganeti's library is not found on a2"),
        (situation(serials={"a1": "away", "a3": EPOCH + 2}), "all changes since another node became the master would be lost"),
        (situation(serials={"a1": "away", "a3": 27}), "The standby a3 has serial number 27, a2 only 20: 7 changes would be lost. Make a3 the master"),
        (situation(serials={"a1": "away", "pool": 27}), "The server of no node, pool has serial number 27, a2 only 20: 7 changes would be lost"),
        (situation(why="a1 cannot tell what it has: CouchDB does not answer"), "Nobody knows what the master until now, a1, has"),
        (situation(["a3"], serials={"a1": 22}), "The standby a1 has serial number 22"),
        (situation(["a3"])._replace(candidates={"a3": Standing(23)}), "The files of the master candidate a3 have serial number 23, a2 only 20: 3 changes"),
        (situation(["a3"], job_serials={"a3": 9}), "The standby a3 has jobs up to 9, a2 only up to 7: 2 would be lost. Make a3 the master, or set accept_loss"),
        (situation(["a3"], serials={"pool": 20}, job_serials={"pool": 9}, acknowledge=2), "The server of no node, pool has jobs up to 9, a2 only up to 7"),
        (situation(["a3"], serials={"a3": 21}, database=held(job=9)), "1 changes would be lost. a2 has jobs up to 9, that one only up to 7: 2 would"),
        (situation(["a3"])._replace(candidates={"a3": Standing(20, 8)}), "The files of the master candidate a3 have jobs up to 8, a2 only up to 7: 1 would"),
    ],
)
def test_reasons_against_it(found, words):
    assert words in " ".join(problems(found, fenced=False, accept_loss=False))


OFF = ["a3"]
"""Who can be reached where the old master is off."""


def of_two(here, there):
    """Whether here is refused for what another standby has, with the same question asked there; and what is told."""
    database = held(here[0], here[1] or 0)
    found = situation(OFF, serial=here[0], database=database, serials={"a3": there[0]}, job_serials={} if there[1] is None else {"a3": there[1]})
    return problems(found, fenced=True, accept_loss=False), losses(found, accept_loss=False), losses(found, accept_loss=True)


@pytest.mark.parametrize("one", list(itertools.product((20, 21), (7, 8))))
@pytest.mark.parametrize("other", list(itertools.product((20, 21), (7, 8))))
def test_of_two_standbys_one_at_least_is_not_refused_and_nothing_is_lost_without_a_word(one, other):
    against, beside, accepted = of_two(one, other)
    assert bool(against) == (other > one) and not (against and of_two(other, one)[0]), "as the watchdog compares them"
    less = other[0] > one[0] or other[1] > one[1]
    assert bool(against or beside) == less == bool(accepted) and not (against and beside)
    for words in (*against, *beside):
        assert words.startswith("The standby a3 has ")
        assert ("serial number 21" in words) == (21 in (one[0], other[0]) and one[0] != other[0]) and ("jobs up to 8" in words) == (one[1] != other[1])


def test_later_jobs_of_who_cannot_be_the_master_keep_nobody_from_it_unless_jobs_are_acknowledged():
    """Else all that can would be refused for the sake of one that cannot."""
    drained = {**SURVEY["nodes"], "a3": {**SURVEY["nodes"]["a3"], "drained": True}}
    for name, changes in (("pool", {}), ("a3", {"nodes": drained})):
        found = situation(OFF, serials={name: 20}, job_serials={name: 9}, **changes)
        assert problems(found, fenced=True, accept_loss=False) == [] and f" {name} has jobs up to 9" in losses(found, accept_loss=False)[0]
        assert len(problems(situation(OFF, serials={name: 21}, **changes), fenced=True, accept_loss=False)) == 1
        told = situation(OFF, serials={name: 20}, job_serials={name: 9}, acknowledge=2, **changes)
        assert f" {name} has jobs up to 9" in problems(told, fenced=True, accept_loss=False)[0] and losses(told, accept_loss=False) == []


@pytest.mark.parametrize(
    ("files", "database", "used", "words"),
    [
        ((20, 7), (20, 7), "files", []),
        ((20, 8), (20, 7), "files", []),
        ((20, 7), (20, 8), "couchdb", []),
        ((21, 7), (20, 8), "files", ["The database of a2 itself has jobs up to 8, its files only up to 7: 1 would be lost. a2 has serial number 21"]),
        ((19, 8), (20, 7), "couchdb", ["The files of a2 itself have jobs up to 8, its database only up to 7: 1 would be lost. a2 has serial number 20"]),
    ],
)
def test_of_its_own_files_and_database_the_later_is_used_and_what_the_other_has_beside_is_told(files, database, used, words):
    found = situation(OFF, files=held(*files), nodes=nodes(master_candidate=True), database=held(*database), serials={"a3": 20})
    assert ("files" if found.from_files else "couchdb") == used
    assert problems(found, fenced=True, accept_loss=False) == []
    told = losses(found, accept_loss=False)
    assert len(told) == len(words) and all(each.startswith(begin) for each, begin in zip(told, words)), told


@pytest.mark.parametrize(("jobs", "against"), [(7, []), (8, ["The standby a3 has jobs up to 8, a2 only up to 7: 1 would be lost. Make a3 the master"])])
def test_where_files_are_used_the_databases_of_others_count_all_the_same(jobs, against):
    found = situation(OFF, files=held(), nodes=nodes(master_candidate=True), job_serials={"a3": jobs})
    assert found.from_files
    refused = problems(found, fenced=True, accept_loss=False)
    assert len(refused) == len(against) and all(each.startswith(begin) for each, begin in zip(refused, against)), refused


@pytest.mark.parametrize(
    ("mark", "why"), [({"offline": True}, "offline"), ({"drained": True}, "drained"), ({"master_capable": False}, "it is not master capable")]
)
def test_who_cannot_be_the_master_is_not_advised_to_be(mark, why):
    others = {**SURVEY["nodes"], "a3": {**SURVEY["nodes"]["a3"], **mark}}
    (refused,) = problems(situation(OFF, serials={"a3": 27}, nodes=others), fenced=True, accept_loss=False)
    assert "Make a3" not in refused and f"Take a snapshot of it there, as a3 cannot be the master ({why}), or set accept_loss" in refused


def test_an_old_master_that_tells_of_its_database_alone_is_not_waited_for_where_files_are_used():
    found = situation(files=held(15), nodes=nodes(master_candidate=True), database=held(15), serials={"a1": 20, "a3": 15})
    found = found._replace(old_files=None, old_survey={**SURVEY, "files": None})
    assert found.from_files and found.waited_for is None
    refused = problems(found, fenced=False, accept_loss=False)
    words = "The standby a1 has serial number 20, a2 only 15: 5 changes would be lost. Repair what keeps a1 from telling"
    assert len(refused) == 1 and refused[0].startswith(words), refused


def test_a_node_of_which_its_database_does_not_know_is_told_so():
    (refused,) = problems(situation(OFF, nodes={"a1": SURVEY["nodes"]["a1"]}, files=held(), serials={}), fenced=True, accept_loss=False)
    assert "knows no node of this name" in refused


def test_later_files_of_its_own_that_are_not_used_are_waited_for():
    (refused,) = problems(situation(OFF, files=held(23), serials={}), fenced=True, accept_loss=False)
    assert refused.startswith("The files of a2 itself have serial number 23, its database only 20") and "Wait until its database has them" in refused


def test_what_is_not_known_of_a_standby_keeps_nobody_from_it():
    assert of_two((20, 7), (20, None)) == of_two((20, 7), ("away", None)) == ([], [], [])


def test_what_other_standbys_have_is_no_loss_where_the_old_master_has_it_and_is_waited_for():
    """While it works they are ahead of each other at every moment."""
    working = situation(serials={"a3": 22}, job_serials={"a3": 9})
    assert problems(working._replace(old_files=held(22, 9)), fenced=False, accept_loss=False) == []
    assert losses(working._replace(old_files=held(22, 9)), accept_loss=True) == []
    assert "serial number 22" in problems(working._replace(old_files=held(21, 9)), fenced=False, accept_loss=False)[0]


def test_the_watchdog_and_a_failover_by_hand_choose_the_same():
    """Whoever the watchdog has act is not refused by what the others have, if all that they say is what their servers hold."""
    every = list(itertools.product((20, 21), (7, 8)))
    for have in itertools.product(every, repeat=2):
        views = {name: View(GONE, "a1", True, *each) for name, each in zip(("a2", "a3"), have)}
        acts = [name for name in views if decide(Watched(name, ("a1", "a2", "a3"), "a1", views)).step == ACT]
        assert len(acts) == 1
        here, there = have if acts == ["a2"] else have[::-1]
        assert of_two(here, there)[0] == []


def test_files_of_candidates_are_compared_job_by_job_where_the_new_master_tells_of_its_own():
    files = situation(OFF, files=held(), nodes=nodes(master_candidate=True), database=held(19))
    later, earlier = Standing(20, 7, {7: (2,)}), Standing(20, 7, {7: (1,)})
    told = files._replace(own=earlier, candidates={"a3": later})
    assert "The files of the master candidate a3 have job 7 in a later state than a2" in problems(told, fenced=True, accept_loss=False)[0]
    assert problems(files._replace(own=later, candidates={"a3": earlier}), fenced=True, accept_loss=False) == []
    assert problems(told._replace(own=Standing(19, 7, {7: (1,)})), fenced=True, accept_loss=False) == [], "its files have changed since, so nobody knows"


def test_who_accepts_a_loss_is_not_kept_from_it():
    assert problems(situation(serials={"a3": 27}, why="away"), fenced=False, accept_loss=True) == []
    own = situation(files=held(), nodes=nodes(master_candidate=True), why="away")
    assert problems(own, fenced=False, accept_loss=False) == [], "the databases do not matter where Ganeti has kept the files"
    assert problems(situation(serials={"a1": 27}), fenced=False, accept_loss=False) == [], "a master that can be reached is waited for"


def test_what_follows_from_the_situation():
    alive, dead = situation(), situation(["a3"], serials={"a1": "away", "a3": 31})
    assert (alive.dead, alive.voting, alive.seen, alive.away) == ([], True, 20, [])
    assert (dead.dead, dead.voting, dead.seen, dead.away) == (["a1"], True, 31, [])
    assert situation(["a1"]).away == ["a3"] and not situation([]).voting
    assert situation(old={**SURVEY, "files": held(25, 1)}).seen == 25
    files = held()
    assert situation(files=files, nodes=nodes(master_candidate=True)).from_files
    assert not situation(files=files).from_files, "no candidate: nobody keeps them"
    assert not situation(files=held(19), nodes=nodes(master_candidate=True)).from_files


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (held(), ""),
        (held(21), "the configuration with serial number 21, not 20"),
        (held(job=9), "that job id 9 was given out, not only 7"),
        (held(queue={"7": "aa", "3": "bb"}), ""),
        (held(queue={"7": "aa", "6": "bb"}), "job 6 in the queue"),
        (held(queue={"7": "bb"}), "job 7 as it is now"),
        (held(queue={}, archived=[[1, 9]]), "job 5, 6, 7, 8, 9 in the archive"),
        (held(queue={str(each): "x" for each in range(100, 110)}), "job 100, 101, 102, 103, 104 and 5 more in the queue"),
    ],
)
def test_what_a_copy_lacks(there, words):
    """The job that is archived here already may still be in the queue there."""
    assert "; ".join(lacking(held(archived=[[1, 4]]), there)) == words


@given(st.frozensets(st.integers(1, 60)))
def test_ids_as_runs(ids):
    assert numbers(runs(ids)) == ids and len(runs(ids)) == len([each for each in ids if each - 1 not in ids])


def test_no_id_is_given_out_again():
    """Whoever knows of the highest one: a standby that can be reached, the old master's files, its database, the node's own files or database."""
    assert situation().seen_job == 7
    assert situation(job_serials={"a1": 9, "a3": 8}).seen_job == 9
    assert situation(old={**SURVEY, "files": held(job=315)}).seen_job == 315
    assert situation(old={**SURVEY, "files": held(), "database": held(job=316)}).seen_job == 316
    assert situation(files=held(job=11)).seen_job == 11 and situation(database=held(job=12)).seen_job == 12
    assert situation(why="away")._replace(old_files=held(25, 317)).seen_job == 317 and situation(why="away")._replace(old_files=held(25)).seen == 25


def test_an_old_master_whose_database_is_away_is_compared_by_its_files():
    found = situation(why="CouchDB does not answer")._replace(old_files=held(), stopped=True)
    assert problems(found, fenced=False, accept_loss=False) == [] and found.same
    assert not found._replace(old_files=None).same, "what is not known is not the same"


def test_a_candidate_that_did_not_get_a_file_is_made_out_of_the_database():
    """Ganeti only logs that. The database has it."""
    found = situation(files=held(queue={}), nodes=nodes(master_candidate=True))
    assert found.from_files, "while the old master works its files are newer at every moment"
    stopped = found._replace(stopped=True)
    assert not stopped.from_files and stopped.same
    assert stopped._replace(old_files=held(queue={"7": "zz"})).behind == ["job 7 as it is now"]


class Nodes:
    """Hosts that answer from a table: the step and the node make an answer, or a list of answers of which the last is given for ever."""

    def __init__(self, answers):
        self.answers = answers
        self.done = []

    def host(self, name):
        """A node is its name."""
        return name

    def program(self, host, step, given=None):
        """What the step answers."""
        self.done.append((host, step, given))
        found = self.answers[(host, step)]
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(found, GanetiError):
            raise found
        return copy.deepcopy(found)


@pytest.fixture
def failing_over(monkeypatch):
    """A failover to a2 from a1, and all commands that it has run on nodes."""
    commands = []
    monkeypatch.setattr(run, "succeed", lambda host, argv, _what: commands.append((host, argv[-1])) or b"")
    monkeypatch.setattr(run, "_STEP", 0.0)

    def make(answers, **params):
        made = run.Failover(Nodes(answers), {"new_master": "a2", "timeout": 0.05, "accept_loss": False, "fenced": False, **params})
        made.commands = commands
        return made

    return make


def test_a_planned_failover_waits_for_jobs_that_are_in_files_only(failing_over):
    """Both databases agree, and the service of the old master has not written its last jobs."""
    files = held(job=8, queue={"7": "aa", "8": "bb"})
    late = [SURVEY, SURVEY, {**SURVEY, "database": files}]
    found = failing_over({("a2", "compare"): late, ("a1", "files"): files, ("a1", "survey"): SURVEY}, timeout=60)
    after = found._stop(situation())
    assert after.same and after.stopped and after.seen_job == 8 and len(late) == 1
    assert found.commands == [("a1", "stop-master")]
    assert after.request == {"name": "a2", "dead": [], "seen": 20, "job": 8}


def test_who_interrupts_the_waiting_has_the_old_master_go_on(failing_over, monkeypatch):
    """Ctrl-C is no error of Ganeti's, and would leave a cluster without a master."""
    found = failing_over({})
    monkeypatch.setattr(found, "_wait_for_all", interrupt)
    with pytest.raises(KeyboardInterrupt):
        found._stop(situation())
    assert found.commands == [("a1", "stop-master"), ("a1", "start-master")]


def interrupt(*_given):
    raise KeyboardInterrupt


@pytest.mark.parametrize("files", [held(21), held(job=8), held(queue={"7": "aa", "8": "bb"}), held(queue={"7": "bb"}), held(archived=[[3, 3]])])
def test_a_planned_failover_that_would_lose_something_is_undone(failing_over, files):
    answers = {("a2", "compare"): SURVEY, ("a1", "files"): files, ("a1", "survey"): SURVEY}
    found = failing_over(answers)
    with pytest.raises(GanetiError, match="a2 did not get what a1 has: .*a1 goes on as the master"):
        found._stop(situation())
    assert found.commands == [("a1", "stop-master"), ("a1", "start-master")]
    anyway = failing_over(answers, accept_loss=True)
    anyway._stop(situation())
    assert anyway._warnings[0].startswith("a2 becomes the master without what a1 has: ")


def test_an_old_master_of_which_nothing_is_known_is_not_waited_for(failing_over):
    answers = {("a2", "compare"): SURVEY, ("a1", "files"): GanetiError("a1's disk is gone")}
    found = failing_over(answers, accept_loss=True, timeout=3600)
    found._stop(situation(why="away"))
    assert found._warnings == ["a2 becomes the master without what a1 has: what nobody can tell (a1's disk is gone)"]
    own = {**SURVEY, "files": held(), "nodes": nodes(master_candidate=True)}
    assert failing_over({**answers, ("a2", "compare"): own}, timeout=3600)._stop(situation(why="away")).from_files


def test_candidates_files_are_asked_for_where_nobody_is_waited_for(failing_over):
    """One that does not tell keeps nobody from it, and is named."""
    told = {"files": {"serial": 31, "job": 7, "queue": {}, "archived": []}}
    found = failing_over({("a1", "tell"): told, ("a2", "tell"): told, ("a3", "tell"): GanetiError("a3's disk is gone")})
    found._hosts.files = found._hosts.program
    every = {name: {**each, "master_candidate": True} for name, each in SURVEY["nodes"].items()}
    assert found._ask_candidates(situation(nodes=every)) == {"a1": Standing(31, 7, {})}
    assert found._warnings == ["Nobody knows what the files of the master candidate a3 hold (a3's disk is gone)"]
    assert found._ask_candidates(situation(nodes={name: {**each, "master_candidate": False} for name, each in every.items()})) == {}
    assert found._ask_own(situation(nodes=every, files=held())) == Standing(31, 7, {}) and found._ask_own(situation()) is None


def test_candidates_are_asked_too_where_an_old_master_tells_of_its_database_alone(failing_over):
    told = {"files": {"serial": 31, "job": 7, "queue": {}, "archived": []}}
    found = failing_over({("a1", "files"): None, ("a1", "survey"): {**SURVEY, "files": None}, **{(name, "tell"): told for name in ("a1", "a2", "a3")}})
    found._hosts.files = found._hosts.program
    every = {name: {**each, "master_candidate": True} for name, each in SURVEY["nodes"].items()}
    with pytest.raises(PreflightFailed, match="The files of the master candidate a3 have serial number 31, a2 only 20"):
        found._judge({**SURVEY, "files": held(), "nodes": every, "serials": {"a1": 20, "a3": 20}}, {})


def test_the_same_task_again_ends_a_promotion(failing_over, monkeypatch):
    found = failing_over({("a2", "archive"): {"jobs": 2000}})
    monkeypatch.setattr(found, "_accepts_jobs", lambda: True)
    survey_now = {**SURVEY, "master": "a2", "unfinished": True}
    assert found._is_master(survey_now, check_mode=True)["changed"] and found._hosts.done == []
    assert found._is_master(survey_now, check_mode=False)["changed"]
    assert found._hosts.done == [("a2", "archive", None)] and found.commands == [("a2", "--full-run")]
    assert not found._is_master({**survey_now, "unfinished": False}, check_mode=False)["changed"]


def test_which_jobs_of_a_node_must_not_run_again():
    stored, own = Queue(frozenset({7, 8}), frozenset({3, 8}), 9), Queue(frozenset({3, 5, 7, 8, 10}), frozenset(), 10)
    assert promote.stale(stored, own, candidate=False) == {3, 5, 8, 10}
    assert promote.stale(stored, own, candidate=True) == {3, 5, 8}, "somebody was told of job 10, and the database has not seen it yet"


def test_files_that_are_used_as_they_are_begin_an_epoch_and_give_out_no_id_again(master, tmp_path):
    before = master.configuration()
    promote.reserve(str(tmp_path / "master"), Request("a1.lab.example", ["a2"], 1520, 20004))
    assert master.last_job() == 20005
    promote.reserve(str(tmp_path / "master"), Request("a1.lab.example", ["a2"], EPOCH + 7, 20007))
    assert master.last_job() == 20007
    assert {**master.configuration(), "serial_no": 20, "mtime": before["mtime"]} == before and master.configuration()["serial_no"] == 2 * EPOCH
    assert of_files(str(tmp_path / "master"))["serial"] == 20, "no master has used it, so it is as new as what it was made of"
    master.write_configuration({**master.configuration(), "serial_no": 2 * EPOCH + 1})
    assert of_files(str(tmp_path / "master"))["serial"] == 2 * EPOCH + 1


def test_the_new_configuration_after_a_death():
    before = cluster()
    after = promote.promoted(before, Request("a2", ["a1"], 23), "BB:02", 5.0)
    assert before == cluster(), "what was given is left alone"
    flags = {each["name"]: (each["master_candidate"], each["offline"], each["serial_no"], each["mtime"]) for each in after["nodes"].values()}
    assert flags == {"a1": (False, True, 4, 5.0), "a2": (True, False, 4, 5.0), "a3": (False, False, 3, 1.0)}
    assert after["cluster"]["candidate_certs"] == {"u2": "BB:02"}, "the dead one's certificate is worth nothing any more"
    assert (after["serial_no"], after["mtime"], after["cluster"]["serial_no"]) == (EPOCH, 5.0, 8)
    assert after["cluster"]["master_node"] == "u1", "Ganeti's own failover changes that"
    assert after["instances"] == before["instances"]


def test_the_new_configuration_when_the_old_master_lives():
    after = promote.promoted(cluster(), Request("a2", [], 20), "BB:02", 5.0)
    assert {each["name"]: each["master_candidate"] for each in after["nodes"].values()} == {"a1": True, "a2": True, "a3": False}
    assert after["cluster"]["candidate_certs"] == {"u1": "AA:01", "u2": "BB:02"}
    with pytest.raises(StorageFailed, match="knows no node a9: nothing was written"):
        promote.promoted(cluster(), Request("a9", [], 20), "BB:02", 5.0)


def test_a_nodes_certificate_by_its_digest(certificate, tmp_path):
    file, digest = certificate
    assert promote.fingerprint(file) == digest
    key, begin, _made = Path(file).read_text().partition("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE KEY" in key and begin
    (tmp_path / "only").write_text(key)
    with pytest.raises(StorageFailed, match="holds no certificate"):
        promote.fingerprint(str(tmp_path / "only"))
    with pytest.raises(StorageFailed, match="Cannot read"):
        promote.fingerprint(str(tmp_path / "none"))


def test_a_standby_gets_the_files_of_a_master(couch, master, certificate, tmp_path):
    """Its queue had old jobs, as that of a node that was a master candidate once."""
    convert(master, couch)
    couch.write_configuration(cluster())
    file, digest = certificate
    directory = tmp_path / "standby"
    (directory / "queue/archive").mkdir(parents=True)
    os.rename(file, directory / "client.pem")
    files = DiskStorage(str(directory))
    files.write_jobs({5: job(5), 7: job(7, "running")})
    done = promote.promote(couch, str(directory), Request("a2", ["a1"], 20))
    assert done == {"serial": EPOCH, "jobs": 3, "key": None, "candidates": {
        "master_candidates": "a2", "master_candidates_ips": "10.0.0.2", "master_candidates_certs": f"u2={digest}"}}  # fmt: skip
    assert files.configuration()["serial_no"] == EPOCH and files.queue() == (master.queue().jobs, frozenset(), 20005)
    assert dict(files.jobs([7])) == dict(master.jobs([7]))
    assert (directory / "queue/before-promotion/job-5").exists(), "kept, and run no more"
    assert promotion_mark.unfinished(str(directory))
    assert promote.archive(couch, str(directory)) == 2 and files.queue() == master.queue()
    assert not promotion_mark.unfinished(str(directory)) and promote.archive(couch, str(directory)) is None
    assert promote.promote(couch, str(directory), Request("a2", ["a1"], 20, 20315))["jobs"] == 0, "the same again is no harm"
    assert files.last_job() == 20315, "somebody else knows of that job"


def test_who_was_elected_for_an_epoch_begins_no_other_one(couch, master, certificate, tmp_path):
    """Somebody was promoted by hand after this node had judged."""
    convert(master, couch)
    couch.write_configuration(cluster())
    directory = tmp_path / "standby"
    (directory / "queue").mkdir(parents=True)
    os.rename(certificate[0], directory / "client.pem")
    before = couch.claims()
    with pytest.raises(StorageFailed, match="elected for epoch 2, and 1 would begin"):
        promote.promote(couch, str(directory), Request("a2", ["a1"], 20, epoch=2))
    assert couch.claims() == before and not promotion_mark.unfinished(str(directory))
    assert promote.promote(couch, str(directory), Request("a2", ["a1"], 20, epoch=1))["serial"] == EPOCH


def test_nothing_is_touched_where_the_node_cannot_show_who_it_is(couch, master, tmp_path):
    convert(master, couch)
    couch.write_configuration(cluster())
    (tmp_path / "standby/queue").mkdir(parents=True)
    with pytest.raises(StorageFailed, match="client.pem"):
        promote.promote(couch, str(tmp_path / "standby"), Request("a2", [], 20))
    assert os.listdir(tmp_path / "standby") == ["queue"] and os.listdir(tmp_path / "standby/queue") == []


def test_a_survey_tells_what_a_failover_is_decided_by(couch, servers, prefix, tmp_path):
    couch.write_configuration(cluster(31))
    (tmp_path / "ssconf_master_node").write_text("a1\n")
    away = type(servers[0])("http://127.0.0.1:9", "ganeti", "secret")

    def seen(**others):
        return open_storage("couchdb", name="a2", **options(prefix, a2=servers[0], **others))

    found = survey("a2", seen(a1=away, a3=servers[0]), str(tmp_path))
    assert found["nodes"] == SURVEY["nodes"] and found["master"] == "a1" and found["files"] is None
    assert found["job_serials"] == {} and found["database"] == held(31, 0, {})
    assert found["serial"] == 31 == found["serials"]["a3"] and "does not answer" in found["serials"]["a1"]
    assert set(found) == set(SURVEY)
    DiskStorage(str(tmp_path)).write_configuration(cluster(30))
    assert survey("a2", seen(), str(tmp_path))["files"] == held(30, 0, {})
    couch.write_jobs({1: job(1)})
    couch.write_jobs({2: job(2)}, archived=True)
    couch.write_serial(4)
    both = survey("a2", seen(a3=servers[0]), str(tmp_path))
    assert both["job_serials"] == {"a3": 4} and both["database"] == {"serial": 31, "job": 4, "queue": {}, "archived": []}
    whole = survey("a2", seen(), str(tmp_path), each_job=True)["database"]
    assert whole == {"serial": 31, "job": 4, "queue": whole["queue"], "archived": [[2, 2]]} and list(whole["queue"]) == ["1"]
    again = survey("a2", seen(), str(tmp_path))["contents"]
    assert [name for name in again if again[name] != found["contents"][name]] == ["queue"]


def run_text(module, given):
    """Run a module's text as it is run on a node."""
    done = subprocess.run([sys.executable, "-I", "-c", script(module)], input=json.dumps(given), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_nodes_are_told_once(tmp_path):
    (tmp_path / "ssconf_master_candidates").write_text("a1\n")
    (tmp_path / "ssconf_master_candidates").chmod(0o444)
    (tmp_path / "keys").write_text("ssh-rsa AAA a1")
    (tmp_path / "keys").chmod(0o600)
    given = {"directory": str(tmp_path), "lines": {"ssconf_master_candidates": "a2"}, "keys": {str(tmp_path / "keys"): "ssh-rsa BBB a2"}}
    assert run_text(admit_candidate, given) == [str(tmp_path / "ssconf_master_candidates"), str(tmp_path / "keys")]
    assert (tmp_path / "ssconf_master_candidates").read_text() == "a1\na2\n" and (tmp_path / "keys").read_text() == "ssh-rsa AAA a1\nssh-rsa BBB a2\n"
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("ssconf_master_candidates", "keys")] == [0o444, 0o600]
    assert run_text(admit_candidate, given) == [] and sorted(os.listdir(tmp_path)) == ["keys", "ssconf_master_candidates"]


def test_what_a_takeover_says():
    given = {"argv": [sys.executable, "-c", "import sys; print('one'); print(' two ', file=sys.stderr); sys.exit(3)"], "closed": []}
    assert run_text(ganeti_failover, given) == {"status": 3, "lines": ["one", "two"]}


def test_the_way_to_the_dead_is_opened_again(monkeypatch):
    """Also where the command cannot be run at all, and only what was closed."""
    asked = []

    def route(action, address):
        asked.append((action, address))
        return address != "10.0.0.9"

    monkeypatch.setattr(ganeti_failover, "_route", route)
    with pytest.raises(FileNotFoundError):
        ganeti_failover.take_over(["/nowhere/gnt-cluster"], ["10.0.0.1", "10.0.0.9"])
    assert asked == [("add", "10.0.0.1"), ("add", "10.0.0.9"), ("del", "10.0.0.1")]


def test_a_node_that_is_off_is_not_waited_for_long(monkeypatch):
    tried = {}

    class Away:
        def __init__(self, name, options, address):
            self.seen = (name, options["connect_timeout"], address)

        def connect(self):
            name, seconds, address = self.seen
            tried[name] = (seconds, address)
            raise ConnectionFailed(f"{name} is away")

    monkeypatch.setattr(hosts, "SshHost", Away)
    why = hosts.Hosts({"connect_timeout": 20}).reach({"a1": "192.0.2.1", "a3": "192.0.2.3"}, off=["a1"])
    assert why == {"a1": "a1 is away", "a3": "a3 is away"}
    assert tried == {"a1": (5, "192.0.2.1"), "a3": (20, "192.0.2.3")}
    assert hosts.Hosts({"connect_timeout": 3}).host("a1", off=True).seen == ("a1", 3, None)
