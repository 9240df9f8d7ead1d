# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role that gives certificates, on this machine, which is two hosts with an authority on the first."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ..source_tree import ROOT

pytestmark = [pytest.mark.functional, pytest.mark.skipif(os.geteuid() != 0, reason="keys belong to root")]
HOSTS = ("h1", "h2")


class Played:
    """A run of the role: how it ended, what changed on each host, and what Ansible printed."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.ended = done.returncode
        self.text = done.stdout + done.stderr
        self.changed = {name: int(re.search(rf"^{name} .*changed=(\d+)", done.stdout, re.M)[1]) for name in HOSTS}


@pytest.fixture
def play(tmp_path):
    """Runs the role, with variables of its own."""
    place = tmp_path / "collections/ansible_collections/ganeti"
    place.mkdir(parents=True)
    (place / "cluster").symlink_to(ROOT)
    given = {
        "certificate_directory": f"{tmp_path}/etc", "certificate_purpose": "A test", "certificate_address": "{{ address }}", "certificate_prefix": "other_tls",
        "certificate_notify": ["Told"], **{f"certificate_{name}": f"{tmp_path}/{{{{ inventory_hostname }}}}.{name}" for name in ("ca", "file", "key")},
    }  # fmt: skip
    hosts = {name: {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "address": f"192.0.2.{name[1:]}"} for name in HOSTS}
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))

    def run(*options, **variables):
        told = [{"name": "Told", "ansible.builtin.debug": {"msg": "it was told"}}]
        roles = [{"role": "ganeti.cluster.certificate", "vars": {**given, **variables}}]
        (tmp_path / "play.json").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "handlers": told, "roles": roles}]))
        places = {f"ANSIBLE_{name}": str(tmp_path / name) for name in ("REMOTE_TMP", "LOCAL_TEMP")}
        environment = {**os.environ, **places, "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections"), "ANSIBLE_NOCOLOR": "1"}
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(tmp_path / "hosts.json"), str(tmp_path / "play.json"), *options]
        return Played(subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=280))

    return run


def openssl(*argv):
    return subprocess.run(["openssl", *argv], check=True, capture_output=True, text=True).stdout


def test_each_host_gets_a_certificate_of_one_authority_and_a_new_one_where_its_address_changes(tmp_path, play):
    made = play()
    assert made.ended == 0, made.text
    assert made.text.count("it was told") == len(HOSTS)
    for name in HOSTS:
        file = f"{tmp_path}/{name}.file"
        assert "OK" in openssl("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", f"{tmp_path}/{name}.ca", file)
        assert "does match" in openssl("x509", "-in", file, "-noout", "-checkip", f"192.0.2.{name[1:]}")
        assert "does match" in openssl("x509", "-in", file, "-noout", "-checkhost", name)
        assert openssl("x509", "-in", file, "-noout", "-pubkey") == openssl("pkey", "-in", f"{tmp_path}/{name}.key", "-pubout")
        assert (tmp_path / f"{name}.key").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "h1.ca").read_bytes() == (tmp_path / "h2.ca").read_bytes() == (tmp_path / "etc/authority/ca.pem").read_bytes()
    assert (tmp_path / "etc/authority").stat().st_mode & 0o777 == 0o700
    again = play()
    assert again.ended == 0 and again.changed == {"h1": 0, "h2": 0} and "it was told" not in again.text
    before = {name: (tmp_path / f"{name}.file").read_bytes() for name in HOSTS}
    moved = play(certificate_address="{{ '192.0.2.9' if inventory_hostname == 'h2' else address }}")
    assert moved.ended == 0 and moved.changed["h1"] == 0 and moved.changed["h2"] > 0, moved.text
    assert before["h1"] == (tmp_path / "h1.file").read_bytes() and before["h2"] != (tmp_path / "h2.file").read_bytes()
    assert "does match" in openssl("x509", "-in", f"{tmp_path}/h2.file", "-noout", "-checkip", "192.0.2.9")


def test_a_second_authority_is_not_made_by_accident_and_nothing_is_made_in_check_mode(tmp_path, play):
    assert play("--check").ended == 0
    assert not (tmp_path / "etc").exists() and not list(tmp_path.glob("h?.*"))
    (tmp_path / "h2.ca").write_text("of an authority that is elsewhere\n")
    refused = play()
    assert refused.ended != 0 and f"h2 trusts an authority ({tmp_path}/h2.ca) whose key is not on h1" in " ".join(refused.text.split())
    assert "in other_tls_authority" in " ".join(refused.text.split())
    assert (tmp_path / "h2.ca").read_text() == "of an authority that is elsewhere\n" and not (tmp_path / "h2.file").exists()
