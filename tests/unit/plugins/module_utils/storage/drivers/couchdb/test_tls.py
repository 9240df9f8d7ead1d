# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client over TLS: a certificate that is verified, or nothing is sent."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client, Server


def certificate(directory, name, address):
    """Make a certificate for an address, signed by itself, with its key in the same file; the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = directory / f"{name}.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return str(path)


class Forwarder:
    """Takes TLS connections and hands on what is in them to a server; counts the bytes that clients sent."""

    def __init__(self, pem, port):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem)
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.received = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                plain, _peer = self._listener.accept()
                threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain):
        address = ("127.0.0.1", self._server_port)
        with contextlib.suppress(OSError), self._context.wrap_socket(plain, server_side=True) as client, socket.create_connection(address) as server:
            threading.Thread(target=self._answers, args=(server, client), daemon=True).start()
            while data := client.recv(65536):
                self.received += len(data)
                server.sendall(data)

    @staticmethod
    def _answers(server, client):
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)

    def close(self):
        """Take no more connections."""
        self._listener.close()


@pytest.fixture
def forward(servers):
    """Makes forwarders to the first server."""
    made = []

    def make(pem):
        made.append(Forwarder(pem, servers[0].port))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_certificate_that_is_verified(tmp_path, servers, forward):
    pem = certificate(tmp_path, "good", "127.0.0.1")
    forwarder = forward(pem)
    client = Client(Server(f"https://127.0.0.1:{forwarder.port}", servers[0].username, servers[0].password, pem))
    assert client.get("/")["couchdb"] == "Welcome" and isinstance(client.get("/_all_dbs"), list)
    assert forwarder.received > 0
    client.close()


@pytest.mark.parametrize("kind", ["another authority", "another address", "the system's store"])
def test_a_certificate_that_is_not_gets_nothing(tmp_path, servers, forward, kind):
    pem = certificate(tmp_path, "shown", "127.0.0.2" if kind == "another address" else "127.0.0.1")
    trusted = {"another authority": certificate(tmp_path, "other", "127.0.0.1"), "another address": pem, "the system's store": None}[kind]
    forwarder = forward(pem)
    with pytest.raises(ConnectionFailed, match="a certificate that cannot be trusted .* set ca_path"):
        Client(Server(f"https://127.0.0.1:{forwarder.port}", servers[0].username, servers[0].password, trusted)).get("/_all_dbs")
    assert forwarder.received == 0, "not even the request was sent"
