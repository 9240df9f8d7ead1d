# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configuration and jobs of a real Ganeti in an etcd of one member, Debian's own, on the master; and back to files alone."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from . import examples
from .databases import FILES, remove_service, switch
from .lab import Result, Site, eventually

pytestmark = pytest.mark.on("gamma", "delta")

PLACE = "/opt/test-etcd"
CERTIFICATE, KEY = f"{PLACE}/tls.pem", f"{PLACE}/tls.key"
PORT = 12379
USAGE = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,digitalSignature,keyCertSign", "extendedKeyUsage=serverAuth,clientAuth")
"""One certificate is the authority, the member's and the clients'."""


@pytest.fixture
def etcd(site: Site) -> t.Iterator[Result]:
    """What the module takes to reach the etcd, which asks for certificates."""
    url = f"https://{site.hosts[0]}:{PORT}"
    make_certificate(site)
    site.master(
        "systemd-run", "--unit=test-etcd", "--collect", "--property=Type=notify", "/usr/bin/etcd", f"--data-dir={PLACE}/data",
        f"--listen-client-urls=https://{site.lab.address(site.nodes[0])}:{PORT}", f"--advertise-client-urls={url}", "--listen-peer-urls=http://127.0.0.1:12380",
        f"--cert-file={CERTIFICATE}", f"--key-file={KEY}", f"--trusted-ca-file={CERTIFICATE}", "--client-cert-auth",
    )  # fmt: skip
    yield {"endpoints": [url], "ca_path": CERTIFICATE, "cert_path": CERTIFICATE, "key_path": KEY}
    remove_service(site)
    site.master("gnt-cluster", "remove-tags", "in-etcd", check=False)
    site.master("systemctl", "kill", "--signal=KILL", "test-etcd", check=False)
    for node in site.nodes:
        site.lab.run(node, "rm", "-rf", PLACE)


def make_certificate(site: Site) -> None:
    """A certificate and its key, in the same places on all nodes."""
    extensions = [word for each in (*USAGE, f"subjectAltName=DNS:{site.hosts[0]}") for word in ("-addext", each)]
    site.master("mkdir", "-p", PLACE)
    site.master(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test-etcd",
        "-keyout", KEY, "-out", CERTIFICATE, *extensions,
    )  # fmt: skip
    for node in site.nodes[1:]:
        site.lab.run(node, "mkdir", "-p", PLACE)
        for file in (CERTIFICATE, KEY):
            site.lab.run(node, "sh", "-c", f"umask 077; cat >{file}", given=site.master("cat", file))


def present(site: Site, node: str) -> t.List[str]:
    """The service's files that a node has."""
    return site.lab.run(node, "sh", "-c", f"ls {' '.join(FILES)} 2>/dev/null; true").split()


def rehearse(site: Site, module: str, etcd: Result, place: Path, **names: str) -> None:
    """Run the examples of a module that are about etcd."""
    nodes = {f"https://node{number}.example.com:2379": etcd["endpoints"][0] for number in (1, 2, 3)}
    files = {"/etc/etcd/ca.pem": CERTIFICATE, "/etc/etcd/tls/server.pem": CERTIFICATE, "/etc/etcd/tls/server.key": KEY}
    others = {f"node{number}.example.com": site.hosts[0] for number in (1, 2, 3)}
    text, known = examples.source(module), {}
    for name, value in sorted({**nodes, **files, **others, **names}.items(), key=lambda each: -len(each[0])):
        if name in text:
            text, known[name] = text.replace(name, value), value
    examples.rehearse(site.lab, module, known, site.hosts[0], place, {"vault_couchdb_password": "none"}, etcd=True)


def test_configuration_and_jobs_in_etcd_and_back(site, etcd, tmp_path, ran):
    ran("storage", release=site.release, backend="etcd")
    rehearse(site, "backend_storage", etcd, tmp_path)
    assert switch(site, "--check", storage="etcd", etcd=etcd)["changed"] and not present(site, site.nodes[0])
    first = switch(site, storage="etcd", etcd=etcd)
    assert first["changed"] and not first["failed"] and first["check"].startswith("OK: "), first
    assert not switch(site, storage="etcd", etcd=etcd)["changed"]
    assert all(sorted(present(site, node)) == sorted(FILES) for node in site.nodes), "each of them may become the master"
    assert site.master("stat", "--format=%a %U", FILES[0]).split() == ["600", "root"]

    born = site.ask("backend_storage_info")["serial"]
    site.master("gnt-cluster", "add-tags", "in-etcd")
    site.ganeti.flush()
    eventually(lambda: site.ask("backend_storage_info")["healthy"], 240, "etcd holds what the files do")
    told = site.ask("backend_storage_info")
    assert (told["storage"], {each["lag"] for each in told["servers"].values()}, told["replications"]) == ("etcd", {0}, []), told
    found = site.ask("config_history_info", kind="cluster", since=born)
    before, after = (found["difference"][when]["cluster"]["tags"] for when in ("before", "after"))
    assert "in-etcd" in after and "in-etcd" not in before
    assert site.module("config_rollback", {"kind": "cluster", "serial": born, "parts": ["tags"]})["changed"]
    last = max(map(int, site.master("gnt-job", "list", "--no-headers", "-o", "id").split()))
    assert site.ask("job_info", jobs=[last], wait=True, timeout=60, fail=False)["jobs"][0]["id"] == last
    uuid = site.ganeti.call("QueryClusterInfo")["uuid"]
    rehearse(site, "job_info", etcd, tmp_path, **{"4711": str(last), "4712": str(last), "b5d3a8ae-5b1c-4f4e-9d3c-7a1f5a6f0c11": uuid})

    refused = switch(site, storage="couchdb")
    assert refused["failed"] and "go back to files first, with storage disk" in refused["msg"], refused
    back = switch(site, storage="disk")
    assert back["changed"] and not back["failed"] and not any(present(site, node) for node in site.nodes), back
    assert not switch(site, storage="disk")["changed"] and site.ask("backend_storage_info")["storage"] == "disk"
