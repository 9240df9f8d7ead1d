# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The LUXI client against a small server on a UNIX socket."""

from __future__ import annotations

import json
import socket
import threading
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed, InvalidInput, RequestRefused
from ansible_collections.ganeti.cluster.plugins.module_utils.api import connect, luxi
from ansible_collections.ganeti.cluster.plugins.module_utils.api.opcodes import opcode

HostSettings = Callable[[str, list[t.Any]], t.Any]


class Server:
    """Answers each request with ``answer(method, args)``: a result, an exception's refusal, or None to hang up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls: list[tuple[str, list[t.Any]]] = []
        self.connections = 0
        self.answer: HostSettings = lambda method, args: {"name": "cluster-a.example"}
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _address = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._converse, args=(client,), daemon=True).start()

    def _converse(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as reader:
            while True:
                request = b""
                while not request.endswith(b"\x03"):
                    byte = reader.read(1)
                    if not byte:
                        return
                    request += byte
                call = json.loads(request[:-1])
                self.calls.append((call["method"], call["args"]))
                answer = self.answer(call["method"], call["args"])
                if answer is None:
                    return
                refused = isinstance(answer, Exception)
                body = {"success": not refused, "result": list(answer.args) if refused else answer}
                for one in json.dumps(body).encode() + b"\x03":
                    client.sendall(bytes([one]))

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(name="server")
def fixture_server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "s")
    yield server
    server.close()


def test_the_cluster_says_who_it_is(server: Server) -> None:
    with connect({"transport": "luxi", "address": str(server.path), "cluster_name": "cluster-a.example"}) as cluster:
        assert cluster.info() == {"name": "cluster-a.example"}
    assert server.connections == 1


def test_another_cluster_is_refused(server: Server) -> None:
    with pytest.raises(InvalidInput, match="Wrong cluster: .* is the master of cluster-a.example, not of cluster-b.example"):
        connect({"address": str(server.path), "cluster_name": "cluster-b.example"})


def test_a_stale_connection_is_opened_anew_for_a_read(server: Server) -> None:
    with connect({"address": str(server.path)}) as cluster:
        cluster.info()
        answers = iter([None, {"name": "again"}])
        server.answer = lambda method, args: next(answers)
        assert cluster.info() == {"name": "again"}
    assert server.connections == 2


def test_a_job_is_never_submitted_twice(server: Server) -> None:
    server.answer = lambda method, args: None if method == "SubmitJob" else {}
    with connect({"address": str(server.path)}) as cluster:
        cluster.info()
        with pytest.raises(ConnectionFailed, match=r"OP_INSTANCE_STARTUP.*whether it was accepted"):
            cluster.submit([opcode("OP_INSTANCE_STARTUP", instance_name="x")])
    assert [method for method, _args in server.calls].count("SubmitJob") == 1


def test_a_job_is_submitted_over_a_new_connection(server: Server) -> None:
    server.answer = lambda method, args: 12
    with connect({"address": str(server.path)}) as cluster:
        assert cluster.submit([opcode("OP_INSTANCE_STARTUP", instance_name="x")]) == 12
        assert server.calls[0][1][0][0].pop("reason")[0][0] == "ansible:ganeti.cluster"
        assert server.calls == [("SubmitJob", [[{"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "x"}]])]
        assert cluster.submit([opcode("OP_INSTANCE_STARTUP", instance_name="x")]) == 12
    assert server.connections == 2


def test_a_refused_job_shows_no_secret(server: Server) -> None:
    server.answer = lambda method, args: Exception("ParseError", [f"cannot read {args}"])
    op = opcode("OP_INSTANCE_CREATE", instance_name="x", mode="create", disks=[], nics=[], osparams_secret={"root": "hunter2"})
    with connect({"address": str(server.path)}) as cluster, pytest.raises(RequestRefused) as refused:
        cluster.submit([op])
    assert "cannot read" in refused.value.message
    assert "hunter2" not in repr(refused.value) + str(refused.value.details)
    assert refused.value.__suppress_context__


def test_a_job_that_does_not_exist_is_refused(server: Server) -> None:
    server.answer = lambda method, args: {"fields": [{"name": "id", "kind": "number"}], "data": []}
    with connect({"address": str(server.path)}) as cluster, pytest.raises(RequestRefused) as refused:
        cluster.job(99)
    assert refused.value.ecode == "unknown_entity"


def test_an_item_that_does_not_exist_is_no_row(server: Server) -> None:
    server.answer = lambda method, args: Exception("OpPrereqError", ["Instance name x not found", "unknown_entity"])
    with connect({"address": str(server.path)}) as cluster:
        assert cluster.query("instance", ["name"], ["=", "name", "x"]) == []
        with pytest.raises(RequestRefused, match="Instance name x not found"):
            cluster.query("instance", ["name"], ["|", ["=", "name", "x"], ["=", "name", "y"]])


def test_waiting_for_a_job_asks_for_what_is_new(server: Server) -> None:
    server.answer = lambda method, args: [["running"], [[3, [5, 0], "message", "hello"]]]
    with connect({"address": str(server.path)}) as cluster:
        change = cluster.wait_for_job_change(7, "waiting", 2, 500)
        assert change is not None and change.status == "running" and change.log[0].serial == 3
        assert server.calls[-1] == ("WaitForJobChange", [7, ["status"], ["waiting"], 2, luxi.LONGEST_WAIT])
        server.answer = lambda method, args: [["running"], []]
        assert cluster.wait_for_job_change(7, "running", 3, 1) is None
        server.answer = lambda method, args: [[None], []]
        with pytest.raises(RequestRefused, match="no job 7 any more"):
            cluster.wait_for_job_change(7, "running", 3, 1)


def test_no_answer_in_time_is_a_failed_connection(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    server.answer = lambda method, args: release.wait(60) and None
    cluster = luxi.LuxiCluster.local(str(server.path))
    with pytest.raises(ConnectionFailed, match="did not answer Query within 0 s"):
        cluster._call("Query", timeout=0.05)
    release.set()
    cluster.close()
    cluster.close()


def test_a_socket_that_is_not_there_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(luxi, "SSCONF_MASTER", str(tmp_path / "ssconf_master_node"))
    cluster = luxi.LuxiCluster.local(str(tmp_path / "missing"))
    with pytest.raises(ConnectionFailed, match="no node of a Ganeti cluster"):
        cluster.info()
    (tmp_path / "ssconf_master_node").write_text("b2.example\n")
    with pytest.raises(ConnectionFailed, match=r"is not the master of its cluster, b2\.example is"):
        cluster.info()


def test_a_transport_that_does_not_exist_is_named() -> None:
    with pytest.raises(InvalidInput, match="no transport pigeon: use one of luxi, ssh, rapi"):
        connect({"transport": "pigeon"})
    with pytest.raises(InvalidInput, match="needs the address"):
        connect({"transport": "rapi"})
