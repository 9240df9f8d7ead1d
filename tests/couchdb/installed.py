# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in as an installed CouchDB, configured by ini files: ``python3 installed.py /opt/couchdb/etc``.

It reads what the role ``couchdb`` writes and, of the rest, where the databases are. All else is ignored, as CouchDB ignores what it does not know.
"""

from __future__ import annotations

import re
import signal
import socket
import ssl
import sys
import threading
import typing as t
import uuid
from pathlib import Path

if not __package__:  # run as a program: the package is the directory that this file is in
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from couchdb.accounts import HASHED, Accounts, hash_admin
from couchdb.http_api import Listener
from couchdb.ini import Configuration
from couchdb.replicator import Replicator
from couchdb.server_api import Server
from couchdb.store import Store


def main() -> int:
    """Serve until a signal says to end."""
    configuration = Configuration(Path(sys.argv[1]))
    if not configuration.section("admins"):
        sys.stderr.write("No Admin Account configured. Please configure an Admin Account in your local.ini file and restart CouchDB.\n")
        return 1
    for name, password in configuration.section("admins").items():
        if not password.startswith(HASHED):
            configuration.set("admins", name, hash_admin(password))
    if not configuration.get("couchdb", "uuid"):
        configuration.set("couchdb", "uuid", uuid.uuid4().hex)

    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # a handler that sets an event may find its lock held by the wait that it interrupts, for ever
    directory = Path(configuration.get("couchdb", "database_dir"))
    store = Store(directory)
    locks = configuration.get("chttpd_auth_lockout", "mode", "enforce") == "enforce"
    accounts = Accounts(configuration.section("admins"), store.get("_users"), Accounts.secret(directory / "secret"), locks)
    replicator = Replicator(store.get("_replicator"), trust(configuration))
    closed = configuration.get("chttpd", "require_valid_user") == "true"
    server = Server(store, accounts, replicator, configuration.get("couchdb", "uuid"), closed)
    for listener in listeners(configuration, server):
        threading.Thread(target=listener.serve_forever, args=(0.1,), daemon=True).start()
    replicator.start()
    signal.sigwait(signals)
    return 0


def trust(configuration: Configuration) -> t.Optional[ssl.SSLContext]:
    """How replications verify certificates; None where they do not, as it is by default."""
    if configuration.get("replicator", "verify_ssl_certificates") != "true":
        return None
    return ssl.create_default_context(cafile=configuration.get("replicator", "ssl_trusted_certificates_file"))


def listeners(configuration: Configuration, server: Server) -> t.Iterator[Listener]:
    """The port without encryption and, if there is one, that with TLS."""
    plain = configuration.get("chttpd", "bind_address", "127.0.0.1")
    yield Listener((numeric(plain), int(configuration.get("chttpd", "port", "5984"))), server)
    if configuration.get("ssl", "enable") == "true":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(configuration.get("ssl", "cert_file"), configuration.get("ssl", "key_file"))
        own = re.search(r'\{ip, *"([^"]+)"\}', configuration.get("httpsd", "server_options"))
        # CouchDB takes the one of the two that sorts last.
        address = max(plain, own[1]) if own else plain
        yield Listener((numeric(address), int(configuration.get("ssl", "port", "6984"))), server, context)


def numeric(address: str) -> str:
    """An IPv4 address in its usual form; CouchDB takes others too, as 0x7f.0.0.1."""
    return socket.inet_ntoa(socket.inet_aton(address))


if __name__ == "__main__":
    raise SystemExit(main())
