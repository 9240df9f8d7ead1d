# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two stand-ins for CouchDB (tests/couchdb) on the master of alpha, for the tests of the storage; the second one plays the standby's."""

from __future__ import annotations

import base64
import json
import secrets

from .lab import eventually

PLACE = "/opt/test-couchdb"
FILES = ("/etc/ganeti/couchdb.json", "/usr/local/lib/ganeti-couchdb/service.pyz", "/etc/systemd/system/ganeti-couchdb.service")
PARAMETERS = ("/etc/ganeti/extended-parameters.json", "/etc/ganeti/hooks/node-add-post.d/50-extended-parameters")
PORTS = (5984, 5985)
# Run on the master: says what of the files is not in each database as it is on disk.
COMPARE = """
import json, sys
sys.path.insert(0, "/usr/local/lib/ganeti-couchdb/service.pyz")
from ganeti_couchdb.storage import settings
from ganeti_couchdb.storage.client import Client
from ganeti_couchdb.storage.couchdb import CouchStorage
from ganeti_couchdb.storage.disk import DiskStorage
chosen = settings.read("/etc/ganeti/couchdb.json")
def everything(storage):
    queue = storage.queue()
    jobs = {str(archived): dict(storage.jobs(sorted(numbers), archived)) for numbers, archived in ((queue.jobs, False), (queue.archived, True))}
    numbers = [sorted(queue.jobs), sorted(queue.archived), queue.serial]
    return {"queue": numbers, "jobs": jobs, "configuration": storage.configuration(), "ssconf": storage.ssconf()}
disk = everything(DiskStorage())
found = {}
for name, server in {chosen.name: chosen.server, **chosen.standbys}.items():
    other = everything(CouchStorage(Client(server)))
    found[name] = [part for part in disk if disk[part] != other[part]]
print(json.dumps({"different": found, "jobs": len(disk["queue"][0]), "serial": disk["configuration"]["serial_no"]}))
"""


class Databases:
    """Two stand-ins on the master of alpha."""

    def __init__(self, lab):
        self.lab = lab
        self.password = secrets.token_hex(16)

    def start(self, *ports):
        """Start the stand-ins of these ports."""
        for port in ports:
            self.lab.run(
                "a1", "systemd-run", f"--unit=test-couchdb-{port}", "--collect", "/usr/bin/python3", f"{PLACE}/couchdb/server.py",
                "--directory", f"{PLACE}/{port}", "--port", str(port), "--admin-file", f"{PLACE}/admin",
            )  # fmt: skip
        for port in ports:
            eventually(lambda port=port: self.lab.run("a1", "ss", "-Hltn", f"sport = :{port}").strip(), 20, f"a server listens at {port}")

    def stop(self, *ports):
        """End them as a power failure would."""
        for port in ports:
            self.lab.run("a1", "systemctl", "kill", "--signal=KILL", f"test-couchdb-{port}", check=False)
            eventually(lambda port=port: not self.lab.run("a1", "ss", "-Hltn", f"sport = :{port}").strip(), 20, f"no server listens at {port}")

    def servers(self, **changes):
        """What the module takes."""
        return [
            {"node": f"{node}.lab.example", "url": f"http://127.0.0.1:{port}", "username": "ganeti", "password": self.password, **changes}
            for node, port in zip(("a1", "a2"), PORTS)
        ]

    def same(self):
        """Whether both hold what Ganeti's files do."""
        return all(parts == [] for parts in self.compare()["different"].values())

    def compare(self):
        """What differs."""
        return json.loads(self.lab.run("a1", "python3", "-I", "-c", COMPARE))


def encoded(stream):
    """Bytes as a text that goes through ssh."""
    return base64.b64encode(stream.getvalue()).decode()


def switch(lab, *options, **arguments):
    """Run the module on the master."""
    return lab.module("backend_storage", arguments, "a1.lab.example", options)


def ask(lab, module, **arguments):
    """Run a module that only tells, on the master."""
    result = lab.module(module, arguments, "a1.lab.example")
    assert not result["failed"] and not result["changed"], result
    return result
