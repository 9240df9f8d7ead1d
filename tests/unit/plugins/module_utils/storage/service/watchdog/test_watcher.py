# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A watcher with a clock that stands still, and notes on a table."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH, Claim
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.interface import Heard, Newest
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.settings import Settings
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog import arming, fence_command, messages, sight, watcher
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog.decision import ACT, ALIVE, GONE, MASTER, NO, UNKNOWN, WAIT, WATCH
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog.options import Options
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog.watcher import Watcher

from ...samples import cluster

DIGEST = ":".join(["AB"] * 20)


class Table:
    """Where the notes of all nodes lie; who is away answers nobody."""

    def __init__(self, own_servers=True):
        self.own_servers = own_servers
        self.notes = {}
        self.away = set()
        self.puts = 0

    def at(self, name):
        """The notes as a node sees them."""
        table = self

        class Notes:
            own_servers = table.own_servers

            def put(self, part, note):
                if name in table.away:
                    raise ConnectionFailed(f"{name}'s own server is away.")
                table.puts += 1
                table.notes[(name, part)] = json.loads(json.dumps(note))

            def read(self):
                return {
                    other: Heard({}, f"{other} is away", False) if other in table.away
                    else Heard({part: note for (who, part), note in table.notes.items() if who == other})
                    for other in ("a1", "a2", "a3")
                }  # fmt: skip

        return Notes()


class Stored:
    """What a node has stored."""

    def __init__(self, serial=20, job=7):
        self.serial, self.job, self.claim = serial, job, None

    def newest(self):
        return Newest(cluster(self.serial), 0)

    def last_job(self):
        return self.job

    def elected(self):
        return self.claim


class Three:
    """Three nodes with watchers, the first being the master."""

    def __init__(self, tmp_path, own_servers=True):
        self.now = 1000.0
        self.table = Table(own_servers)
        self.signs = dict.fromkeys(("a1", "a2", "a3"), sight.ALIVE)
        self.others = sight.ALIVE
        self.began = []
        self.stored = {name: Stored() for name in ("a1", "a2", "a3")}
        self.directories = {name: tmp_path / name for name in ("a1", "a2", "a3")}
        self.watchers = {name: self._make(name) for name in ("a1", "a2", "a3")}

    def _make(self, name):
        directory = self.directories[name]
        directory.mkdir()
        (directory / "ssconf_master_node").write_text("a1\n")
        (directory / "ssconf_node_primary_ips").write_text("a1 10.0.0.1\na2 10.0.0.2\na3 10.0.0.3\n")
        for each in ("candidates", "candidates_ips", "candidates_certs"):
            (directory / f"ssconf_master_{each}").write_text("")
        arming.arm(str(directory))
        chosen = Settings(name, {}, str(directory), "", 10, nodes=("a1", "a2", "a3"))

        def look(address):
            return self.signs[name] if address == "10.0.0.1" else self.others

        return Watcher(chosen, Options("/sbin/fence", 12.0), self.stored[name], self.table.at(name), look, lambda: self.began.append(name), lambda: self.now)

    def round(self, *names, seconds=1.0):
        """Each looks once."""
        self.now += seconds
        return {name: self.watchers[name].step() for name in names or ("a2", "a3")}

    def die(self):
        """The master is gone, with its server."""
        self.table.away.add("a1")
        self.signs.update(a2=sight.SILENT, a3=sight.SILENT)

    def sees(self, name):
        return self.table.notes[(name, "watcher")]["sees"]


@pytest.fixture
def three(tmp_path, monkeypatch):
    monkeypatch.setattr(fence_command, "problem", lambda _path: None)
    known = {each["name"]: each for each in cluster()["nodes"].values()}
    monkeypatch.setattr(watcher, "of_configuration", lambda _found: {"nodes": known, "installed": 1, "version": 1})
    return Three(tmp_path)


def test_files_that_were_put_there_anew_are_others(tmp_path):
    """So the watcher ends, and systemd starts it with what is there now: a password, or a node more."""
    settings, gone = tmp_path / "settings.json", tmp_path / "gone"
    settings.write_text("1")
    before = watcher.identities([str(settings), str(gone)])
    assert watcher.identities([str(settings), str(gone)]) == before and before[1] is None
    other = tmp_path / "other"
    other.write_text("1")
    other.rename(settings)
    assert watcher.identities([str(settings), str(gone)]) != before


def test_settings_that_change_while_they_are_read_are_not_watched_by(tmp_path, monkeypatch):
    config, read = tmp_path / "settings.json", []
    config.write_text("1")

    def changes(path):
        (tmp_path / "other").write_text("2")
        (tmp_path / "other").rename(config)
        read.append(path)
        return Settings("a2", {}, str(tmp_path), str(tmp_path / "status.json"), 3)

    monkeypatch.setattr(watcher.settings, "read", changes)
    monkeypatch.setattr(watcher.options, "read", lambda _path: Options("/root/fence"))
    monkeypatch.setattr(watcher, "end_soon", list)
    monkeypatch.setattr(Settings, "open", lambda *_given: pytest.fail("it has begun"))
    watcher.run(str(config), str(tmp_path / "watchdog.json"), str(tmp_path / "status"))
    assert read == [str(config)]


def test_while_all_is_well_nothing_is_written_but_once(three):
    for _each in range(20):
        found = three.round("a1", "a2", "a3")
    assert {name: each.state for name, each in found.items()} == dict.fromkeys(("a1", "a2", "a3"), WATCH)
    assert three.table.puts == 3 and three.sees("a1") == MASTER and three.sees("a2") == ALIVE and not three.began
    assert not three.watchers["a2"].busy


def test_one_acts_when_the_master_was_silent_for_long_enough(three):
    three.round()
    three.die()
    for _each in range(12):
        three.round()
        assert three.sees("a2") == UNKNOWN and not three.began
    three.stored["a3"].serial = 21
    states = [three.round() for _each in range(3)]
    assert three.sees("a2") == three.sees("a3") == GONE
    assert states[-1]["a2"].state == WAIT and states[-1]["a3"].state == ACT and three.began == ["a3"]
    for _each in range(25):
        three.round()
    assert three.began == ["a3"], "it asks all anew by itself, and is not begun again at once"
    three.round(seconds=4)
    three.round(seconds=4)
    assert three.began == ["a3", "a3"]


def test_a_sign_of_life_begins_the_row_anew(three):
    three.round()
    three.die()
    for _each in range(11):
        three.round()
    three.signs["a2"] = sight.ALIVE
    three.round()
    three.signs["a2"] = sight.SILENT
    for _each in range(8):
        three.round()
    assert three.sees("a3") == GONE and three.sees("a2") == UNKNOWN and not three.began


def test_a_watcher_that_stood_still_begins_anew(three):
    three.round()
    three.die()
    three.round()
    three.round(seconds=600)
    assert three.sees("a2") == UNKNOWN and not three.began


def test_the_masters_own_server_that_answers_is_a_sign_of_life(three):
    three.round()
    three.signs.update(a2=sight.SILENT, a3=sight.SILENT)
    for _each in range(30):
        three.round()
    assert three.sees("a2") == three.sees("a3") == ALIVE and not three.began


def test_an_answer_through_a_common_storage_is_one_too(tmp_path, three):
    """Its ports are closed to the others, as by a firewall, and all reach etcd."""
    (tmp_path / "etcd").mkdir()
    found = Three(tmp_path / "etcd", own_servers=False)
    found.round("a1", "a2", "a3")
    found.signs.update(a2=sight.SILENT, a3=sight.SILENT)
    for _each in range(30):
        found.round("a1", "a2", "a3")
    assert GONE not in (found.sees("a2"), found.sees("a3")) and not found.began
    for _each in range(30):
        found.round()
    assert found.began == ["a2"], "and when it is really gone it answers no more"


def test_who_cannot_ask_has_no_vote(three):
    """1: one's own server is away, so nothing is known of the master through the storage."""
    three.round()
    three.die()
    three.table.away.add("a2")
    for _each in range(30):
        three.now += 1
        with pytest.raises(ConnectionFailed):
            three.watchers["a2"].step()
        assert three.watchers["a3"].step().state != ACT
    assert not three.began


def test_a_write_that_fails_once_does_not_begin_the_row_anew(three):
    """The vote is lost while it is not written, and how long the master was silent is not."""
    three.round()
    three.die()
    for _each in range(8):
        three.round()
    at, put = three.table.at("a2"), three.table.at("a2").put
    failing = [True]

    def once(part, note):
        if failing and failing.pop():
            raise ConnectionFailed("a2's own server was slow.")
        put(part, note)

    at.put = once
    three.watchers["a2"].use(three.stored["a2"], at)
    with pytest.raises(ConnectionFailed):
        three.round("a2")
    for _each in range(6):
        three.round()
    assert three.sees("a2") == GONE and three.began == ["a2"]


def test_a_note_of_somebody_who_died_is_no_vote(three):
    """2: it has seen the master gone, and did not look again since it was asked."""
    three.round()
    three.die()
    for _each in range(16):
        three.round("a3")
    assert three.sees("a3") == GONE
    found = [three.round("a2")["a2"] for _each in range(40)]
    assert three.sees("a2") == GONE and found[-1].state == NO and "a3 does not answer" in found[-1].says and not three.began


def test_who_is_not_armed_says_so_and_does_nothing(three):
    three.round()
    arming.disarm(str(three.directories["a2"]))
    found = three.round()["a2"]
    assert found.state == "disarmed" and "--arm" in found.says and three.table.notes[("a2", "watcher")]["says"] == found.says
    three.die()
    for _each in range(20):
        found = three.round()["a2"]
    assert found.state == NO and "a2 is not armed for a1" in found.says and not three.began
    assert "a2 is not armed" in three.round()["a3"].says


def test_a_command_that_cannot_be_used_is_named_while_the_master_is_well_and_once(three, monkeypatch, capsys):
    found = ["fence_command /sbin/fence is no file that can be run: make it executable"]
    monkeypatch.setattr(fence_command, "problem", lambda _path: found[-1])
    for _each in range(5):
        assert three.round("a2")["a2"].state == WATCH
    assert capsys.readouterr().err == f"{found[0]}.\n"
    for each in (None, found[0]):
        found.append(each)
        three.round("a2")
    assert capsys.readouterr().err == f"{found[0]}.\n", "once each time that it is so"


def test_another_master_disarms_all(three):
    """8: whoever made it the master."""
    for name in ("a2", "a3"):
        (three.directories[name] / "ssconf_master_node").write_text("a3\n")
    assert three.round()["a2"].state == "disarmed" and three.sees("a3") == MASTER
    for name in ("a2", "a3"):
        (three.directories[name] / "ssconf_master_node").write_text("a1\n")
    assert {each.state for each in three.round().values()} == {"disarmed"}, "not even should the old one be it again"
    arming.arm(str(three.directories["a2"]))
    assert three.round()["a2"].state == WATCH


def test_the_silence_of_one_master_is_not_that_of_the_next(three):
    three.round()
    three.die()
    for _each in range(16):
        three.round()
    assert three.sees("a2") == GONE
    (three.directories["a2"] / "ssconf_master_node").write_text("a3\n")
    three.others = sight.SILENT
    three.table.away.add("a3")
    three.round("a2")
    assert three.sees("a2") == UNKNOWN


def test_who_was_elected_is_taken_for_a_master_candidate(three, monkeypatch, tmp_path):
    authorized = tmp_path / "authorized"
    authorized.write_text("")
    monkeypatch.setattr(watcher.admission, "AUTHORIZED", str(authorized))
    admit = watcher.admission.admit
    monkeypatch.setattr(watcher.admission, "admit", lambda *given: admit(*given, str(authorized)))
    three.round()
    three.die()
    for _each in range(16):
        three.round()
    wanted = {"asks": "0123456789abcdef", "digest": DIGEST, "key": "ssh-rsa AAAA root@a2"}
    three.table.notes[("a2", "takeover")] = wanted
    certificates = three.directories["a3"] / "ssconf_master_candidates_certs"
    for claim in (None, Claim(EPOCH, "u3"), Claim(2 * EPOCH, "u2"), Claim(20, "u2")):
        three.stored["a3"].claim = claim
        three.round()
        assert certificates.read_text() == "" and three.table.notes[("a3", "watcher")]["admitted"] is None, "nobody else's word counts but the server's"
    three.stored["a3"].claim = Claim(EPOCH, "u2")
    three.round()
    assert certificates.read_text() == f"u2={DIGEST}\n" and authorized.read_text() == "ssh-rsa AAAA root@a2\n"
    assert (three.directories["a3"] / "ssconf_master_candidates_ips").read_text() == "10.0.0.2\n"
    assert three.table.notes[("a3", "watcher")]["admitted"] == wanted["asks"]


def test_who_sees_the_master_alive_admits_nobody(three):
    three.round()
    three.table.notes[("a2", "takeover")] = {"asks": "0123456789abcdef", "digest": DIGEST, "key": None}
    three.stored["a3"].claim = Claim(EPOCH, "u2")
    three.round()
    assert (three.directories["a3"] / "ssconf_master_candidates_certs").read_text() == ""


def test_only_what_has_the_expected_form_is_taken_out_of_notes():
    good = {"sees": GONE, "master": "a1", "armed": True, "serial": 20, "job": 7, "problem": None}
    assert messages.view(good) == (GONE, "a1", True, 20, 7, None)
    for change in ({"sees": "dead"}, {"master": None}, {"armed": "yes"}):
        assert messages.view({**good, **change}) is None
    assert messages.view({**good, "serial": "20", "job": True})[3:5] == (None, None) and messages.view(None) is None
    assert messages.asks({"asks": "0123456789abcdef"}) and messages.asks({"asks": "x"}) is None and messages.asks({"asks": 5}) is None
    assert messages.candidate({"digest": DIGEST}) == (DIGEST, None) and messages.candidate({"digest": f"{DIGEST}\nu9={DIGEST}"}) is None
    for key in ("ssh-rsa AAAA\nssh-rsa BBBB x", 'command="x" ssh-rsa AAAA', "", 5):
        assert messages.candidate({"digest": DIGEST, "key": key}) is None
    assert messages.candidate({"digest": DIGEST, "key": "ssh-ed25519 AAAAC3+/= root@a2"})
    assert not messages.answered({"answers": ["a2"]}, "a2/watcher", "x")
