# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two stand-ins for CouchDB (tests/couchdb) on the master of a cluster, for the tests of the storage; the second one plays the standby's."""

from __future__ import annotations

import base64
import io
import json
import secrets
import tarfile
import typing as t

from .lab import ROOT, Result, Site, eventually

PLACE = "/opt/test-couchdb"
FILES = ("/etc/ganeti/couchdb.json", "/usr/local/lib/ganeti-couchdb/service.pyz", "/etc/systemd/system/ganeti-couchdb.service")
PARAMETERS = ("/etc/ganeti/extended-parameters.json", "/etc/ganeti/hooks/node-add-post.d/50-extended-parameters")
PORTS = (5984, 5985)
# Run on the master: says what of the files is not in each database as it is on disk.
COMPARE = """
import json, sys
sys.path.insert(0, "/usr/local/lib/ganeti-couchdb/service.pyz")
from ganeti_couchdb.storage.drivers.disk import DiskStorage
from ganeti_couchdb.storage.service import settings
chosen = settings.read("/etc/ganeti/couchdb.json")
def everything(storage):
    queue = storage.queue()
    jobs = {str(archived): dict(storage.jobs(sorted(numbers), archived)) for numbers, archived in ((queue.jobs, False), (queue.archived, True))}
    numbers = [sorted(queue.jobs), sorted(queue.archived), queue.serial]
    return {"queue": numbers, "jobs": jobs, "configuration": storage.configuration(), "ssconf": storage.ssconf()}
disk = everything(DiskStorage())
found = {}
for name in chosen.options["servers"]:
    other = everything(chosen._replace(name=name).open())
    found[name] = [part for part in disk if disk[part] != other[part]]
print(json.dumps({"different": found, "jobs": len(disk["queue"][0]), "serial": disk["configuration"]["serial_no"]}))
"""


class Databases:
    """Two stand-ins on the master of a cluster."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.password = secrets.token_hex(16)

    def place(self) -> None:
        """Put them there and start them."""
        self._site.master("mkdir", "-p", PLACE)
        unpack(self._site, PLACE, "tests/couchdb", "couchdb")
        self._site.master("sh", "-c", f"umask 077; cat >{PLACE}/admin", given=f"ganeti:{self.password}")
        self.start(*PORTS)

    def remove(self) -> None:
        """Take away all that is left of them and of the service."""
        remove_service(self._site)
        self.stop(*PORTS)
        self._site.master("rm", "-rf", PLACE)

    def start(self, *ports: int) -> None:
        """Start the stand-ins of these ports."""
        for port in ports:
            self._site.master(
                "systemd-run", f"--unit=test-couchdb-{port}", "--collect", "/usr/bin/python3", f"{PLACE}/couchdb/server.py",
                "--directory", f"{PLACE}/{port}", "--port", str(port), "--admin-file", f"{PLACE}/admin",
            )  # fmt: skip
        for port in ports:
            eventually(lambda port=port: self._listens(port), 240, f"a server listens at {port}")

    def stop(self, *ports: int) -> None:
        """End them as a power failure would."""
        for port in ports:
            self._site.master("systemctl", "kill", "--signal=KILL", f"test-couchdb-{port}", check=False)
            eventually(lambda port=port: not self._listens(port), 240, f"no server listens at {port}")

    def _listens(self, port: int) -> bool:
        return bool(self._site.master("ss", "-Hltn", f"sport = :{port}").strip())

    def servers(self, **changes: t.Any) -> t.List[Result]:
        """What the module takes."""
        return [
            {"node": host, "url": f"http://127.0.0.1:{port}", "username": "ganeti", "password": self.password, **changes}
            for host, port in zip(self._site.hosts, PORTS)
        ]

    def same(self) -> bool:
        """Whether both hold what Ganeti's files do."""
        return all(parts == [] for parts in self.compare()["different"].values())

    def compare(self) -> Result:
        """What differs, once Ganeti's own file has all."""
        self._site.ganeti.flush()
        return t.cast(Result, json.loads(self._site.master("python3", "-I", "-c", COMPARE)))


def unpack(site: Site, place: str, directory: str, name: str) -> None:
    """Put a directory of the repository on a cluster's master, under another name."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(ROOT / directory, name, filter=lambda member: None if "__pycache__" in member.name else member)
    site.master("sh", "-c", f"base64 -d | tar --extract --directory={place} --no-same-owner", given=base64.b64encode(archive.getvalue()).decode())


def remove_service(site: Site) -> None:
    """Take away all that the module leaves on nodes."""
    for node in site.nodes:
        site.lab.run(node, "sh", "-c", f"systemctl disable --now ganeti-couchdb; rm -f {' '.join(FILES + PARAMETERS)}; systemctl daemon-reload")


def switch(site: Site, *options: str, **arguments: t.Any) -> Result:
    """Run the module on the master."""
    return site.module("backend_storage", arguments, options)
