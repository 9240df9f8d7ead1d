# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in as an installed CouchDB: ini files, several administrators, TLS. It behaves as CouchDB 3.5.0 did with the same files."""

from __future__ import annotations

import base64
import datetime
import http.client
import ipaddress
import json
import socket
import ssl
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from couchdb.ini import Configuration
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .client import eventually

PROGRAM = Path(__file__).resolve().parents[1] / "couchdb/installed.py"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def make_certificate(directory: Path) -> None:
    """A certificate that is its own authority, of 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
    own = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = builder.add_extension(own, False).sign(key, hashes.SHA256())
    (directory / "pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "key").write_bytes(key.private_bytes(*plain))


class Installed:
    """One with a directory of its own, which trusts the authority in *ca* if there is one."""

    def __init__(self, directory: Path, ca: t.Optional[Path] = None, lockout: str = "enforce", admins: str = "admin = a\nganeti = g = 1\n") -> None:
        self.directory = directory
        self.port, self.tls_port = free_port(), free_port()
        (directory / "etc/default.d").mkdir(parents=True)
        (directory / "etc/local.d").mkdir()
        make_certificate(directory)
        (directory / "etc/default.ini").write_text(f"[couchdb]\ndatabase_dir = {directory}\n[chttpd]\nport=1\n")
        (directory / "etc/local.ini").touch()
        (directory / "etc/local.d/50.ini").write_text(
            f"; settings\n[chttpd]\nport = {self.port}\nbind_address = 0x7f.0.0.1 ; here\nrequire_valid_user = true\n"
            f'[httpsd]\nserver_options = [{{ip, "127.0.0.1"}}]\n'
            f"[ssl]\nenable = true\nport = {self.tls_port}\ncert_file = {directory}/pem\nkey_file = {directory}/key\n"
            f"[chttpd_auth_lockout]\nmode = {lockout}\n"
            f"[replicator]\nverify_ssl_certificates = true\nssl_trusted_certificates_file = {ca or directory / 'pem'}\n"
        )
        self.written = directory / "etc/local.d/90.ini"
        self.written.write_text(f"[admins]\n{admins}")
        self.process = subprocess.Popen([sys.executable, str(PROGRAM), str(directory / "etc")], stderr=subprocess.PIPE, text=True)

    def wait(self) -> None:
        """Wait until it answers at both ports."""
        eventually(lambda: not any(socket.socket().connect_ex(("127.0.0.1", port)) for port in (self.port, self.tls_port)))

    def ask(self, method: str, path: str, user: str = "admin:a", value: t.Any = None, tls: bool = True) -> t.Tuple[int, t.Any]:
        """A request, over TLS unless told otherwise."""
        context = ssl.create_default_context(cafile=str(self.directory / "pem"))
        secure = http.client.HTTPSConnection("127.0.0.1", self.tls_port, timeout=10, context=context)
        connection = secure if tls else http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Content-Type": "application/json", **({"Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"} if user else {})}
        connection.request(method, path, None if value is None else json.dumps(value), headers)
        response = connection.getresponse()
        body = json.loads(response.read())
        connection.close()
        return response.status, body

    def end(self) -> str:
        """End it; what it wrote to its standard error."""
        self.process.terminate()
        return self.process.communicate(timeout=30)[1]


@pytest.fixture
def install(tmp_path: Path) -> t.Iterator[t.Callable[..., Installed]]:
    made: t.List[Installed] = []

    def create(**options: t.Any) -> Installed:
        made.append(Installed(tmp_path / str(len(made)), **options))
        made[-1].wait()
        return made[-1]

    yield create
    for each in made:
        each.end()


def test_later_files_win(install: t.Callable[..., Installed]) -> None:
    found = Configuration(install().directory / "etc")
    assert found.get("chttpd", "port") != "1"
    assert found.get("chttpd", "bind_address") == "0x7f.0.0.1"
    assert found.get("chttpd", "no_such_thing") == ""


def test_passwords_become_hashes_in_the_last_file(install: t.Callable[..., Installed]) -> None:
    server = install()
    text = server.written.read_text()
    assert "admin = -pbkdf2:sha256-" in text and "ganeti = -pbkdf2:sha256-" in text and "g = 1" not in text
    assert "uuid = " in text
    assert [server.ask("GET", "/_session", user)[1].get("userCtx", {}).get("roles") for user in ("admin:a", "ganeti:g = 1")] == [["_admin"]] * 2
    assert server.ask("GET", "/", "ganeti:g")[0] == 401
    identity = server.ask("GET", "/")[1]["uuid"]
    assert server.end() == ""
    assert identity in text and server.written.read_text() == text


@pytest.mark.parametrize("path", ["/", "/_up", "/_session", "/_users"])
@pytest.mark.parametrize("tls", [True, False])
def test_nobody_gets_in_without_a_password(install: t.Callable[..., Installed], path: str, tls: bool) -> None:
    server = install()
    assert server.ask("GET", path, "", tls=tls) == (401, {"error": "unauthorized", "reason": "Authentication required."})
    assert server.ask("GET", path, tls=tls)[0] == 200


@pytest.mark.parametrize("lockout, status", [("enforce", 403), ("warn", 200)])
def test_wrong_passwords_may_lock(install: t.Callable[..., Installed], lockout: str, status: int) -> None:
    server = install(lockout=lockout)
    for _attempt in range(5):
        assert server.ask("GET", "/", "admin:wrong")[0] == 401
    assert server.ask("GET", "/")[0] == status


def test_without_an_administrator_it_does_not_start(tmp_path: Path) -> None:
    server = Installed(tmp_path, admins="")
    assert "No Admin Account" in server.process.communicate(timeout=30)[1]
    assert server.process.returncode == 1


def replication(source: Installed, target: Installed) -> t.Dict[str, t.Any]:
    ends = {
        role: {"url": f"https://127.0.0.1:{each.tls_port}/data", "auth": {"basic": {"username": "admin", "password": "a"}}}
        for role, each in (("source", source), ("target", target))
    }
    return {**ends, "continuous": True}


def test_replications_verify_certificates(install: t.Callable[..., Installed], tmp_path: Path) -> None:
    source = install()
    target = install()
    bundle = tmp_path / "bundle"
    bundle.write_text((source.directory / "pem").read_text() + (target.directory / "pem").read_text())
    trusting = install(ca=bundle)
    for server in (source, target):
        assert server.ask("PUT", "/data")[0] == 201
    assert source.ask("PUT", "/data/a", value={"x": 1})[0] == 201

    assert source.ask("PUT", "/_replicator/r", value=replication(source, target))[0] == 201
    state: t.Dict[str, t.Any] = {}

    def crashes() -> bool:
        state.update(source.ask("GET", "/_scheduler/docs/_replicator/r")[1])
        return state["state"] == "crashing"

    eventually(crashes, 30)
    assert "certificate" in str(state["info"])
    assert target.ask("GET", "/data/a")[0] == 404

    assert trusting.ask("PUT", "/_replicator/r", value=replication(source, target))[0] == 201
    eventually(lambda: target.ask("GET", "/data/a")[0] == 200)
