# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The option groups of the modules, each written once, and how they become an AnsibleModule."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.parameters import env_fallback

Spec = t.Dict[str, t.Any]
Constraint = t.Sequence[t.Sequence[t.Any]]


class ArgumentSpec:
    """Options together with the constraints between them; merges with others."""

    def __init__(self, options: Spec, mutually_exclusive: Constraint = (), required_if: Constraint = ()) -> None:
        self.options = options
        self.mutually_exclusive = list(mutually_exclusive)
        self.required_if = list(required_if)

    def merge(self, *others: ArgumentSpec) -> ArgumentSpec:
        """All groups as one."""
        groups = (self, *others)
        return ArgumentSpec(
            {name: option for group in groups for name, option in group.options.items()},
            [each for group in groups for each in group.mutually_exclusive],
            [each for group in groups for each in group.required_if],
        )

    def create_module(self, supports_check_mode: bool = True) -> AnsibleModule:
        """The module with these options; ends the process where the user's do not fit."""
        return AnsibleModule(
            argument_spec=self.options,
            mutually_exclusive=self.mutually_exclusive,
            required_if=self.required_if,
            supports_check_mode=supports_check_mode,
        )


_TELLING = 8
"""Characters from which on a secret is masked wherever it is seen; a shorter one would mask half of what has nothing to do with it."""


def withdraw(module: AnsibleModule, option: str) -> t.Dict[str, t.Any]:
    """Take the values of a dictionary of secrets out of all that a module can show; its parameters, with the values.

    Ansible masks whatever equals a secret, in all that the module says: with a value of "1" that leaves little. So the module gives the
    values up, says none of them, and has Ansible mask only those that cannot be meant otherwise. Other secrets stay masked.
    """
    params = dict(module.params)
    secrets = params.get(option) or {}
    module.params[option] = dict.fromkeys(secrets, "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER") if secrets else params.get(option)
    public, passwords = _leaves({**params, option: None})
    known = {str(value) for value in secrets.values()}
    module.no_log_values -= {each for each in known - passwords if len(each) < _TELLING or any(each in text for text in public - passwords)}
    return params


def _leaves(value: t.Any, name: str = "") -> t.Tuple[t.Set[str], t.Set[str]]:
    """All strings in nested parameters, and those of them that are passwords."""
    if isinstance(value, dict):
        found = [_leaves(item, str(key)) for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        found = [_leaves(item, name) for item in value]
    else:
        text = {str(value)} if value is not None else set()
        return text, text if name == "password" else set()
    return set().union(*(each[0] for each in found)), set().union(*(each[1] for each in found))


def _ssh_group(environment: bool = True) -> Spec:
    """The option group: how to reach hosts by SSH."""
    options: Spec = dict(
        user=dict(type="str"),
        port=dict(type="int"),
        private_key_file=dict(type="path"),
        known_hosts_file=dict(type="path"),
        config_file=dict(type="path"),
        agent=dict(type="bool", default=True),
        password=dict(type="str", no_log=True),
        connect_timeout=dict(type="int", default=20),
    )
    return dict(type="dict", default={}, options=_from_environment("SSH_", options) if environment else options)


def _rapi_group(environment: bool = True) -> Spec:
    """The option group: how to reach a cluster's remote API."""
    options: Spec = dict(
        port=dict(type="int", default=5080),
        username=dict(type="str"),
        password=dict(type="str", no_log=True),
        ca_path=dict(type="path"),
        fingerprint=dict(type="str"),
        timeout=dict(type="int", default=60),
    )
    return dict(type="dict", default={}, options=_from_environment("RAPI_", options) if environment else options)


def _from_environment(prefix: str, options: Spec) -> Spec:
    """The options, each of which is taken from GANETI_... of the environment where it is not set."""
    return {name: {**option, "fallback": (env_fallback, [f"GANETI_{prefix}{name.upper()}"])} for name, option in options.items()}


def _side(required: bool) -> Spec:
    """One of a move's two clusters. Nothing comes from the environment: it would be for both, and a password of one would be shown to the other."""
    return dict(
        type="dict",
        required=required,
        options=dict(
            address=dict(type="str", required=True),
            cluster_name=dict(type="str"),
            transport=dict(type="str", choices=["ssh", "rapi"], default="ssh"),
            ssh=_ssh_group(environment=False),
            rapi=_rapi_group(environment=False),
        ),
    )


def _connection(used: t.Collection[str]) -> Spec:
    """The connection group. All modules have it, so that defaults of the action group break none; the environment is asked for what is *used* alone."""
    plain: Spec = dict(transport=dict(type="str", choices=["luxi", "ssh", "rapi"], default="luxi"), address=dict(type="str"), cluster_name=dict(type="str"))
    known = {**plain, **_from_environment("", plain)}
    return dict(
        {name: known[name] if name in used else option for name, option in plain.items()},
        ssh=_ssh_group("ssh" in used),
        rapi=_rapi_group("rapi" in used),
    )


def cluster_connection() -> ArgumentSpec:
    """How a module that manages one cluster reaches it."""
    options = _connection(("transport", "address", "cluster_name", "ssh", "rapi"))
    return ArgumentSpec(options, required_if=[["transport", "ssh", ["address"]], ["transport", "rapi", ["address"]]])


def local() -> ArgumentSpec:
    """The same of a module that works where its task runs."""
    return ArgumentSpec(_connection(("cluster_name",)))


def nodes_by_ssh() -> ArgumentSpec:
    """The same of a module on the controller that asks nodes by SSH."""
    return ArgumentSpec(_connection(("cluster_name", "ssh")))


def move_sides() -> ArgumentSpec:
    """The same of a move, and its two clusters."""
    return ArgumentSpec(dict(_connection(()), source=_side(required=True), destination=_side(required=False)))


def query() -> ArgumentSpec:
    """What to pick out of what a module tells."""
    return ArgumentSpec(dict(query=dict(type="str")))


def timeouts() -> ArgumentSpec:
    """How long jobs may take, in seconds; an option of all modules too."""
    return ArgumentSpec(
        dict(
            lock_timeout=dict(type="int", default=300),
            job_timeout=dict(type="int", default=3600),
        )
    )


def zeroing_limits() -> ArgumentSpec:
    """How long the zeroing helper may take, in seconds."""
    return ArgumentSpec(
        dict(
            zeroing_timeout_fixed=dict(type="float", default=300),
            zeroing_timeout_per_mib=dict(type="float", default=0.05),
        )
    )


def zeroing_helper(prefix: str = "zeroing_") -> ArgumentSpec:
    """What zeroes free space: its method, and where the helper is on the nodes. The *prefix* is for modules that do it beside something else."""
    options = dict(
        method=dict(type="str", choices=["auto", "discard", "write"], default="auto"),
        kernel_path=dict(type="str", default="/var/lib/ganeti-zeroing/vmlinuz"),
        initrd_path=dict(type="str", default="/var/lib/ganeti-zeroing/initrd.img"),
    )
    return ArgumentSpec({f"{prefix}{name}": option for name, option in options.items()})


def storage_settings() -> ArgumentSpec:
    """How a module on a node finds the database of its cluster's storage."""
    return ArgumentSpec(dict(settings_file=dict(type="path", default="/etc/ganeti/couchdb.json")))


def _server() -> Spec:
    return dict(
        url=dict(type="str", required=True),
        username=dict(type="str", required=True),
        password=dict(type="str", required=True, no_log=True),
        ca_path=dict(type="path"),
    )


def server() -> ArgumentSpec:
    """A CouchDB server."""
    return ArgumentSpec(dict(server=dict(type="dict", options=_server())))


def servers() -> ArgumentSpec:
    """The CouchDB servers of nodes."""
    options = dict(node=dict(type="str", required=True), **_server(), outside=dict(type="bool", default=False))
    return ArgumentSpec(dict(servers=dict(type="list", elements="dict", default=[], options=options)))


def _etcd(**more: t.Any) -> ArgumentSpec:
    options: Spec = dict(
        endpoints=dict(type="list", elements="str", required=True),
        username=dict(type="str"),
        password=dict(type="str", no_log=True),
        ca_path=dict(type="path"),
        cert_path=dict(type="path"),
        key_path=dict(type="path"),
        **more,
    )
    return ArgumentSpec(dict(etcd=dict(type="dict", options=options)))


def etcd() -> ArgumentSpec:
    """The members of an etcd."""
    return _etcd()


def etcd_of_cluster() -> ArgumentSpec:
    """The same, and of which cluster they are asked, for a host that does not know."""
    return _etcd(cluster=dict(type="str", required=True))
