# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for all modules: the options that they share, the group of actions, the environment, and what their documentation says."""

from __future__ import annotations

import functools
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.testing import patch_module_args

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec

ROOT = Path(__file__).resolve().parents[4]
MODULES = "ansible_collections.ganeti.cluster.plugins.modules"
NAMES = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))
ACTIONS = sorted(path.stem for path in (ROOT / "plugins/action").glob("*.py"))
GROUP = _argspec.cluster_connection().merge(_argspec.timeouts())
NODE = {"url": "https://a1.example.com:6984", "username": "ganeti", "password": "secret", "node": "a1.example.com"}
DEFAULTS = {
    "transport": "ssh", "address": "alpha.example.com", "cluster_name": "alpha.example.com", "lock_timeout": 10, "job_timeout": 20,
    "ssh": {"user": "root", "password": "opensesame"}, "rapi": {"username": "ansible", "password": "opensesame"},
}  # fmt: skip


@functools.cache
def documentation():
    """What Ansible makes of the documentation of all modules, fragments and all."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory, "ansible_collections/ganeti")
        place.mkdir(parents=True)
        (place / "cluster").symlink_to(ROOT)
        command = [str(Path(sys.executable).parent / "ansible-doc"), "--json", *(f"ganeti.cluster.{name}" for name in NAMES)]
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": directory, "ANSIBLE_LOCAL_TEMP": directory}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
    return {name.rpartition(".")[2]: found for name, found in json.loads(done.stdout).items()}


def specification(name):
    """The options that a module really has."""
    return importlib.import_module(f"{MODULES}.{name}").argument_spec()


def described(options, nested):
    """Options in one form, whether of a specification or of a documentation."""
    return {
        name: {
            "type": option["type"],
            "required": bool(option.get("required")),
            "elements": option.get("elements"),
            "choices": option.get("choices"),
            "default": _truth(option),
            "options": described(option[nested], nested) if option.get(nested) else None,
        }
        for name, option in options.items()
    }


def _truth(option):
    default = option.get("default")
    return default == "true" if option["type"] == "bool" and isinstance(default, str) else default


def variables(options):
    """The environment's variables that options are taken from."""
    own = {option["fallback"][1][0] for option in options.values() if "fallback" in option}
    return own.union(*(variables(option["options"]) for option in options.values() if option.get("options")))


def examples(name):
    """The tasks of this module in its examples, those in plays too, by what they say."""
    found = yaml.safe_load(importlib.import_module(f"{MODULES}.{name}").EXAMPLES)
    tasks = [task for entry in found for task in entry.get("tasks", [entry])]
    return {task["name"]: task[f"ganeti.cluster.{name}"] or {} for task in tasks if f"ganeti.cluster.{name}" in task}


def filled(value, option):
    """An example's value with something of the right kind where only Ansible knows what stands there."""
    if isinstance(value, str) and "{{" in value:
        return {"int": 1, "list": ["1"], "dict": {}}.get(option["type"], "text")
    nested = option.get("options")
    if nested and isinstance(value, dict):
        return {key: filled(each, nested.get(key, {"type": "str"})) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, {"type": option.get("elements", "str"), "options": nested}) for each in value]
    return value


def complaints(name, arguments):
    """What Ansible says against arguments of a module."""
    made = specification(name)
    filled_in = {key: filled(value, made.options.get(key, {"type": "str"})) for key, value in arguments.items()}
    return ArgumentSpecValidator(made.options, mutually_exclusive=made.mutually_exclusive, required_if=made.required_if).validate(filled_in).error_messages


def test_the_action_group_holds_all_modules():
    assert len(NAMES) >= 12
    assert yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"] == {"ganeti": NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_every_module_takes_the_options_of_the_group(name):
    options = specification(name).options
    for option, wanted in GROUP.options.items():
        assert described({option: options[option]}, "options") == described({option: wanted}, "options")
    for task, arguments in examples(name).items():
        assert complaints(name, {**DEFAULTS, **arguments}) == [], task


@pytest.mark.parametrize("name", NAMES)
def test_the_documentation_has_the_options_that_there_are(name):
    assert described(documentation()[name]["doc"]["options"], "suboptions") == described(specification(name).options, "options")


@pytest.mark.parametrize("name", NAMES)
def test_the_documentation_names_the_variables_that_are_read(name):
    texts = json.dumps(documentation()[name]["doc"]["options"])
    assert set(re.findall(r"E\((\w+)\)", texts)) == variables(specification(name).options)


@pytest.mark.parametrize("name", NAMES)
def test_the_attributes_are_complete(name):
    attributes = documentation()[name]["doc"]["attributes"]
    usual = {"action_group", "async", "check_mode", "diff_mode", "idempotent", "platform"}
    assert set(attributes) == usual | ({"action", "delegation"} if name in ACTIONS else set())
    assert all(each.get("description") and each.get("support") for each in attributes.values())
    assert attributes["platform"]["platforms"] in ("linux", "posix") and attributes["action_group"]["membership"] == ["ganeti.cluster.ganeti"]


@pytest.mark.parametrize("name", NAMES)
def test_what_only_reads_says_so_in_its_name(name):
    attributes = documentation()[name]["doc"]["attributes"]
    assert name.endswith("_info") == (attributes["diff_mode"]["support"] == "N/A")


@pytest.mark.parametrize("name", NAMES)
def test_something_is_to_be_seen_also(name):
    seen = [each["module"] for each in documentation()[name]["doc"]["seealso"] if "module" in each]
    assert seen and all(each.rpartition(".")[2] in NAMES and each != f"ganeti.cluster.{name}" for each in seen)


def page_tasks():
    """The tasks with modules of this collection in the pages, each with its page and its module."""
    for page in sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "roles").glob("*/README.md")]):
        for block in re.findall(r"^```yaml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S):
            entries = yaml.safe_load(block)
            for task in [task for entry in entries if isinstance(entry, dict) for task in entry.get("tasks", [entry])]:
                yield from ((page.name, key.rpartition(".")[2], value) for key, value in task.items() if key.startswith("ganeti.cluster."))


@pytest.mark.parametrize("page, name, arguments", list(page_tasks()))
def test_tasks_in_pages_are_what_the_modules_take(page, name, arguments):
    assert name in NAMES and complaints(name, arguments) == []


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_what_the_module_takes(name):
    assert examples(name)
    for task, arguments in examples(name).items():
        assert complaints(name, arguments) == [], task


def test_a_database_has_options_of_its_own():
    assert complaints("backend_storage", {"storage": "etcd"}) == ["storage is etcd but all of the following are missing: etcd"]
    assert complaints("backend_storage", {"storage": "etcd", "etcd": {"username": "ganeti"}})
    assert complaints("backend_storage", {"storage": "disk"}) == []
    members = {"endpoints": ["https://a1.example.com:2379"], "cluster": "c0ffee"}
    server = {key: value for key, value in NODE.items() if key != "node"}
    assert complaints("job_info", {"jobs": [1], "etcd": members}) == []
    assert complaints("job_info", {"jobs": [1], "etcd": members, "server": server}) == ["parameters are mutually exclusive: server|etcd"]


def test_the_password_of_etcd_is_masked():
    members = {"endpoints": ["https://a1.example.com:2379"], "username": "ganeti", "password": "opensesame"}
    assert "opensesame" in made("backend_storage", {"storage": "etcd", "etcd": members}).no_log_values


def test_an_example_that_does_not_fit_is_seen():
    assert complaints("job_info", {"jobs": ["x"], "state": "ended"})
    assert complaints("job_info", {"jobs": "{{ x }}"}) == []
    assert complaints("cluster", {"transport": "ssh"})


# --- The environment --------------------------------------------------------------------------------------------------


ENVIRONMENT = {
    "TRANSPORT": "rapi", "ADDRESS": "alpha.example.com", "CLUSTER_NAME": "alpha", "RAPI_PORT": "5081", "RAPI_USERNAME": "reader",
    "RAPI_PASSWORD": "opensesame", "RAPI_CA_PATH": "/etc/ssl/rapi.pem", "RAPI_FINGERPRINT": "ab:cd", "RAPI_TIMEOUT": "7", "SSH_USER": "admin",
    "SSH_PORT": "2222", "SSH_PRIVATE_KEY_FILE": "/key", "SSH_KNOWN_HOSTS_FILE": "/hosts", "SSH_CONFIG_FILE": "/config", "SSH_AGENT": "no",
    "SSH_PASSWORD": "swordfish", "SSH_CONNECT_TIMEOUT": "3",
}  # fmt: skip


@pytest.fixture
def environment(monkeypatch):
    """The environment with a value for each variable."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(f"GANETI_{name}", value)


def made(name, arguments):
    """The module as Ansible itself makes it."""
    with patch_module_args(arguments):
        return specification(name).create_module()


def test_the_environment_fills_in_what_is_not_set(environment):
    assert {f"GANETI_{name}" for name in ENVIRONMENT} == variables(GROUP.options)
    module = made("cluster_info", {})
    assert [module.params[name] for name in ("transport", "address", "cluster_name")] == ["rapi", "alpha.example.com", "alpha"]
    assert module.params["rapi"] == {
        "port": 5081, "username": "reader", "password": "opensesame", "ca_path": "/etc/ssl/rapi.pem", "fingerprint": "ab:cd", "timeout": 7,
    }  # fmt: skip
    assert module.params["ssh"] == {
        "user": "admin", "port": 2222, "private_key_file": "/key", "known_hosts_file": "/hosts", "config_file": "/config", "agent": False,
        "password": "swordfish", "connect_timeout": 3,
    }  # fmt: skip
    assert {"opensesame", "swordfish"} <= module.no_log_values


def test_what_is_set_stands_above_the_environment(environment):
    module = made("cluster_info", {"transport": "ssh", "address": "beta.example.com", "ssh": {"user": "root"}, "rapi": {"port": 5080}})
    assert (module.params["transport"], module.params["address"]) == ("ssh", "beta.example.com")
    assert (module.params["ssh"]["user"], module.params["ssh"]["port"]) == ("root", 2222)
    assert (module.params["rapi"]["port"], module.params["rapi"]["username"]) == (5080, "reader")


def test_without_an_environment_the_defaults_stand():
    module = made("cluster_info", {})
    assert (module.params["transport"], module.params["ssh"]["agent"], module.params["rapi"]["port"]) == ("luxi", True, 5080)
    assert module.params["address"] is module.params["rapi"]["password"] is None


def test_a_transport_of_the_environment_needs_an_address(monkeypatch, capsys):
    monkeypatch.setenv("GANETI_TRANSPORT", "ssh")
    with pytest.raises(SystemExit):
        made("cluster_info", {})
    assert "transport is ssh but all of the following are missing: address" in json.loads(capsys.readouterr().out)["msg"]


def test_a_move_takes_nothing_from_the_environment(environment):
    """It has two clusters, so that each of them would get what is meant for the other."""
    module = made("instance_move", {"name": "web1", "source": {"address": "alpha"}, "destination": {"address": "beta"}})
    for side in ("source", "destination"):
        assert module.params[side]["cluster_name"] is None and module.params[side]["transport"] == "ssh"
        assert module.params[side]["ssh"]["user"] is module.params[side]["ssh"]["password"] is module.params[side]["rapi"]["password"] is None
    assert module.params["address"] is None and not {"opensesame", "swordfish"} & module.no_log_values


def test_modules_take_only_what_they_use_from_the_environment(environment):
    module = made("master_failover", {"new_master": "a2"})
    assert (module.params["cluster_name"], module.params["ssh"]["user"], module.params["address"]) == ("alpha", "admin", None)
    module = made("backend_storage", {"storage": "couchdb", "servers": [NODE]})
    assert (module.params["cluster_name"], module.params["ssh"]["user"], module.params["transport"]) == ("alpha", None, "luxi")
