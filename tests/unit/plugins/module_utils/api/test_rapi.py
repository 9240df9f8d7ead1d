# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""RAPI against a small HTTPS server on loopback."""

from __future__ import annotations

import base64
import datetime
import hashlib
import http.server
import ipaddress
import json
import ssl
import threading
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import (
    AuthenticationFailed,
    ConnectionFailed,
    HostKeyUnknown,
    InvalidInput,
    RequestRefused,
)
from ansible_collections.ganeti.cluster.plugins.module_utils.api import rapi
from ansible_collections.ganeti.cluster.plugins.module_utils.api.opcodes import opcode
from ansible_collections.ganeti.cluster.plugins.module_utils.api.rapi import RapiCluster, rapi_options

PASSWORD = "correct horse"


def _certificate(file: Path, address: str | None) -> str:
    """A self-signed certificate as Ganeti makes them, for an IP address or for nobody; its fingerprint."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ganeti.example.com")])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )  # fmt: skip
    if address:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    file.with_suffix(".key").write_bytes(private)
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


class Server:
    """``answer(method, target, body)`` gives (status, JSON)."""

    def __init__(self, certificate: Path) -> None:
        self.requests: list[tuple[str, str, t.Any]] = []
        self.answer: Callable[[str, str, t.Any], tuple[int, t.Any]] = lambda method, target, body: (200, {"name": "cluster-a"})
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                expected = "Basic " + base64.b64encode(f"ansible:{PASSWORD}".encode()).decode()
                if self.headers.get("Authorization") != expected:
                    status: int = 401
                    result: t.Any = {"code": 401, "message": "Unauthorized", "explain": ""}
                else:
                    body = json.loads(raw) if raw else None
                    outer.requests.append((self.command, self.path, body))
                    status, result = outer.answer(self.command, self.path, body)
                payload = result if isinstance(result, bytes) else json.dumps(result).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815

            def log_message(self, *args: t.Any) -> None:
                return

        class Quiet(http.server.ThreadingHTTPServer):
            def handle_error(self, request: t.Any, client_address: t.Any) -> None:
                """Clients that hang up on purpose are part of the tests."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(name="certificate", scope="module")
def fixture_certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tls") / "rapi.pem"
    file.with_name("fingerprint").write_text(_certificate(file, "127.0.0.1"))
    return file


@pytest.fixture(name="server")
def fixture_server(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(rapi, "_RETRIES", (0.0,))
    server = Server(certificate)
    yield server
    server.close()


@pytest.fixture(name="options")
def fixture_options(server: Server, certificate: Path) -> dict[str, t.Any]:
    return {"port": server.port, "username": "ansible", "password": PASSWORD, "ca_path": str(certificate), "timeout": 10}


def test_a_trusted_server_is_asked(options: dict[str, t.Any]) -> None:
    with RapiCluster("127.0.0.1", options) as cluster:
        assert cluster.info() == {"name": "cluster-a"}
        assert PASSWORD not in repr(cluster) + repr(cluster._options)


def test_the_password_is_wrong(options: dict[str, t.Any]) -> None:
    with pytest.raises(AuthenticationFailed, match="does not let ansible in") as failed:
        RapiCluster("127.0.0.1", {**options, "password": "wrong horse"}).info()
    assert "wrong horse" not in failed.value.message + str(failed.value.details)


def test_the_ca_is_wrong(server: Server, options: dict[str, t.Any], tmp_path: Path) -> None:
    _certificate(tmp_path / "other.pem", "127.0.0.1")
    for ca_path in (str(tmp_path / "other.pem"), None):
        with pytest.raises(HostKeyUnknown, match="is not trusted"):
            RapiCluster("127.0.0.1", {**options, "ca_path": ca_path}).info()
    assert server.requests == []


def test_the_name_is_wrong(options: dict[str, t.Any]) -> None:
    with pytest.raises(HostKeyUnknown, match="is not trusted"):
        RapiCluster("localhost", options).info()


def test_a_pin_replaces_ca_and_name(server: Server, options: dict[str, t.Any], certificate: Path) -> None:
    pin = certificate.with_name("fingerprint").read_text()
    colons = ":".join(pin[i : i + 2] for i in range(0, 64, 2)).upper()
    assert RapiCluster("localhost", {**options, "ca_path": None, "fingerprint": colons}).info() == {"name": "cluster-a"}
    server.requests.clear()
    with pytest.raises(HostKeyUnknown, match=f"has the fingerprint {pin}, not the pinned {'0' * 64}"):
        RapiCluster("localhost", {**options, "fingerprint": "0" * 64}).info()
    assert server.requests == []


def test_options_that_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="openssl x509"):
        rapi_options({"fingerprint": "abc"})
    with pytest.raises(InvalidInput, match="no RAPI option colour"):
        rapi_options({"colour": 1})
    with pytest.raises(InvalidInput, match="does not exist"):
        RapiCluster("x", {"ca_path": str(tmp_path / "missing")})
    (tmp_path / "bad").write_text("bad")
    with pytest.raises(InvalidInput, match="cannot be used"):
        RapiCluster("x", {"ca_path": str(tmp_path / "bad")})


@pytest.mark.parametrize(
    ("status", "explain", "error", "message", "ecode"),
    [
        (403, "Forbidden", AuthenticationFailed, "forbids GET /2/info to ansible", None),
        (403, "The parameter x cannot be set via RAPI", RequestRefused, "is forbidden .The parameter x cannot be set", None),
        (400, "Invalid body parameters: ('no', 'wrong_input')", RequestRefused, "Ganeti refused GET /2/info on .*: no", "wrong_input"),
        (400, "Invalid body", RequestRefused, "HTTP status 400 .Invalid body", None),
        (500, "(&#x27;x not found&#x27;, &#x27;unknown_entity&#x27;)", RequestRefused, "Ganeti refused .*: x not found", "unknown_entity"),
        (404, "", RequestRefused, "does not exist on this cluster", "unknown_entity"),
        (501, "", RequestRefused, "not something that this RAPI does", None),
        (503, "Job queue is drained, cannot submit", RequestRefused, "refused for now .Job queue is drained", None),
        (500, None, RequestRefused, "rapi-daemon.log", None),
        (418, None, RequestRefused, "HTTP status 418", None),
        (502, "Failed to parse request: &#x27;x&#x27;", RequestRefused, "Ganeti refused .*: Failed to parse request: 'x'", None),
        (502, "Can't connect to master daemon", ConnectionFailed, "does not reach Ganeti's luxid", None),
    ],
)
def test_statuses(
    server: Server, options: dict[str, t.Any], status: int, explain: str | None, error: type[Exception], message: str, ecode: str | None
) -> None:
    server.answer = lambda *_: (status, {"code": status, "message": explain, "explain": "general"})
    with pytest.raises(error, match=message) as raised:
        RapiCluster("127.0.0.1", options).info()
    assert raised.value.ecode == ecode  # type: ignore[attr-defined]


def test_what_is_no_rapi(server: Server, options: dict[str, t.Any]) -> None:
    server.answer = lambda *_: (200, b"<html>")
    with pytest.raises(ConnectionFailed, match="not JSON"):
        RapiCluster("127.0.0.1", options).info()
    server.answer = lambda *_: (500, b"<html>")
    with pytest.raises(RequestRefused, match="failed inside RAPI"):
        RapiCluster("127.0.0.1", options).info()


def test_nobody_there(options: dict[str, t.Any], server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.close()
    with pytest.raises(ConnectionFailed, match="RAPI_ARGS"):
        RapiCluster("127.0.0.1", options).info()
    with pytest.raises(ConnectionFailed, match="does not resolve"):
        RapiCluster("a1.invalid", options).info()


def test_a_job_is_submitted_once_and_as_one_opcode(server: Server, options: dict[str, t.Any]) -> None:
    server.answer = lambda *_: (200, "12")
    cluster = RapiCluster("127.0.0.1", options)
    op = opcode("OP_TAGS_SET", kind="instance", name="x", tags=["a"], dry_run=True)
    assert cluster.submit([op]) == 12
    assert server.requests == [("PUT", "/2/instances/x/tags?tag=a&dry-run=1", None)]
    with pytest.raises(RequestRefused, match="one opcode a job"):
        cluster.submit([op, op])
    with pytest.raises(RequestRefused, match="use transport ssh"):
        cluster.submit([opcode("OP_CLUSTER_SET_PARAMS", compression_tools=["gzip"])])
    server.answer = lambda *_: (502, None)
    with pytest.raises(ConnectionFailed):
        cluster.submit([op])
    assert len(server.requests) == 2


def test_a_refused_job_shows_no_secret(server: Server, options: dict[str, t.Any]) -> None:
    server.answer = lambda method, target, body: (400, {"message": f"Invalid body parameters: {body}"})
    op = opcode("OP_INSTANCE_CREATE", instance_name="x", mode="create", disks=[], nics=[], osparams_private={"root": "hunter2"})
    with pytest.raises(RequestRefused, match="Invalid body parameters") as refused:
        RapiCluster("127.0.0.1", options).submit([op])
    assert "hunter2" not in refused.value.message


def test_waiting_for_a_job(server: Server, options: dict[str, t.Any]) -> None:
    cluster = RapiCluster("127.0.0.1", options)
    server.answer = lambda *_: (200, {"job_info": ["running"], "log_entries": [[1, [5, 0], "message", "hello"]]})
    change = cluster.wait_for_job_change(7, "waiting", None, 15)
    assert change is not None and (change.status, change.log[0].message) == ("running", "hello")
    assert server.requests[-1] == (
        "GET",
        "/2/jobs/7/wait",
        {"fields": ["status"], "previous_job_info": ["waiting"], "previous_log_serial": None},
    )
    server.answer = lambda *_: (200, None)
    assert cluster.wait_for_job_change(7, "running", 1, 15) is None
    server.answer = lambda *_: (404, None)
    for call in (lambda: cluster.job(7), lambda: cluster.wait_for_job_change(7, None, None, 15)):
        with pytest.raises(RequestRefused, match="no job 7") as refused:
            call()
        assert refused.value.ecode == "unknown_entity"


def test_a_short_wait_is_no_longer_than_asked_for(server: Server, options: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rapi, "_POLL", 0.01)
    job = {
        "id": 7, "status": "running", "summary": ["TEST"], "opstatus": ["running"], "opresult": [None],
        "oplog": [[[1, [5, 0], "message", "one"]], [[2, [6, 0], "message", "two"]]],
        "received_ts": [1, 0], "start_ts": [2, 0], "end_ts": None,
    }  # fmt: skip
    server.answer = lambda *_: (200, job)
    cluster = RapiCluster("127.0.0.1", options)
    assert cluster.wait_for_job_change(7, "running", 2, 0.1) is None
    assert {(method, target) for method, target, _body in server.requests} == {("GET", "/2/jobs/7")}
    change = cluster.wait_for_job_change(7, "running", 1, 0.1)
    assert change is not None and [entry.message for entry in change.log] == ["two"]


def test_an_item_that_does_not_exist_is_no_row(server: Server, options: dict[str, t.Any]) -> None:
    server.answer = lambda *_: (500, {"message": "('Instance name x not found', 'unknown_entity')"})
    cluster = RapiCluster("127.0.0.1", options)
    assert cluster.query("instance", ["name"], ["=", "name", "x"]) == []
    with pytest.raises(RequestRefused, match="Instance name x not found"):
        cluster.query("instance", ["name"], ["|", ["=", "name", "x"], ["=", "name", "y"]])


def test_operating_systems(server: Server, options: dict[str, t.Any]) -> None:
    server.answer = lambda *_: (200, ["noop", "debian+default", "debian+minimal"])
    cluster = RapiCluster("127.0.0.1", options)
    assert cluster.query("os", ["name", "variants"]) == [
        {"name": "noop", "variants": []},
        {"name": "debian", "variants": ["default", "minimal"]},
    ]
    with pytest.raises(RequestRefused, match="hidden"):
        cluster.query("os", ["hidden"])
    with pytest.raises(RequestRefused, match="cannot be asked about ../x"):
        cluster.query("../x", ["name"])
