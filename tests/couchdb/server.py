# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A CouchDB for tests that have none: ``python3 server.py --directory DIR --port 0 --admin-file FILE``.

Prints ``{"port": N}`` when it listens and ends on SIGTERM. FILE holds ``user:password`` of the administrator.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import sys
import threading
from pathlib import Path

if not __package__:  # run as a program: the package is the directory that this file is in
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from couchdb.accounts import Accounts
from couchdb.http_api import Listener
from couchdb.replicator import Replicator
from couchdb.server_api import Server
from couchdb.store import Store


def main() -> None:
    """Serve until a signal says to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="where the databases are; made if it is not there")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 for any that is free")
    parser.add_argument("--admin-file", type=Path, required=True, help="holds user:password of the administrator")
    parser.add_argument("--disorder", metavar="SEED", help="let replications dawdle, each database for itself, as this seed says")
    parser.add_argument("--volatile", action="store_true", help="bring nothing to stable storage: a test ends this program, not the machine")
    arguments = parser.parse_args()

    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # a handler that sets an event may find its lock held by the wait that it interrupts, for ever
    arguments.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = Store(arguments.directory, arguments.volatile)
    name, _colon, password = arguments.admin_file.read_text().strip().partition(":")
    secret = Accounts.secret(arguments.directory / "secret")
    replicator = Replicator(store.get("_replicator"), disorder=arguments.disorder)
    accounts = Accounts({name: password}, store.get("_users"), secret)
    server = Server(store, accounts, replicator, hashlib.md5(secret).hexdigest())
    with Listener((arguments.address, arguments.port), server) as listener:
        threading.Thread(target=listener.serve_forever, args=(0.1,), daemon=True).start()
        replicator.start()
        print(json.dumps({"port": listener.server_address[1]}), flush=True)
        signal.sigwait(signals)
        listener.shutdown()


if __name__ == "__main__":
    main()
