# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The table of opcodes: their fields, which of them are secret, and their way through RAPI.

Fields are those of Ganeti 3.0.2 (opcodes.py, generated from src/Ganeti/OpCodes.hs), routes those of its RAPI
(rapi/connector.py, rapi/rlib2.py). Ganeti 3.1 adds no field to these opcodes and drops one, marked below.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field
from urllib.parse import urlencode

from .._errors import InvalidInput, RequestRefused

COMMON_FIELDS = frozenset(("dry_run", "debug_level", "priority", "depends", "comment", "reason"))
"""Fields that every opcode has (Ganeti: opcodes.py, class OpCode). ``reason`` is a list of [source, text, nanoseconds]."""

SECRET_FIELDS = frozenset(("osparams_private", "osparams_secret", "osparams_private_cluster", "source_handshake"))
"""Fields that hold secrets, whichever opcode they are in."""

MASK = "********"

_SECRETS = (
    (8, r"(?P<before>){}"),
    (4, r"(?P<before>(?<!\w)){}(?!\w)"),
    (0, r"(?P<before>['\"]|[=:]\s*){}(?=['\"\s,;.)}}\]]|\Z)"),
)
"""How secrets of so many characters at least are recognized."""

_PATH_NAME = re.compile(r"[\w._-]+", re.ASCII)
"""What RAPI accepts as a name in a path (Ganeti: rapi/connector.py, _NAME_PATTERN); it does not undo %-escapes there."""


@dataclass(frozen=True)
class Route:
    """An opcode's way through RAPI.

    ``path`` names opcode fields in braces. ``query`` maps opcode fields to parameters of the URL. ``body`` tells whether
    the body takes the other fields. ``forbidden`` fields are refused by RAPI; ``never`` are set by RAPI itself, always false.
    """

    method: str
    path: str
    body: bool = False
    query: t.Mapping[str, str] = field(default_factory=dict)
    forbidden: t.FrozenSet[str] = frozenset()
    never: t.FrozenSet[str] = frozenset()
    extra: t.Mapping[str, t.Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Definition:
    """What an opcode is: its fields beside the common ones, those that must be given, and its RAPI route, if it has one."""

    fields: t.FrozenSet[str]
    required: t.FrozenSet[str]
    route: t.Optional[Route]


class RapiRequest(t.NamedTuple):
    """An HTTP request that makes RAPI submit one opcode. ``target`` is path and query; the body is for JSON."""

    method: str
    target: str
    body: t.Optional[t.Dict[str, t.Any]]


def _opcode(required: str, optional: str = "", route: t.Optional[Route] = None) -> Definition:
    needed = frozenset(required.split())
    return Definition(needed | frozenset(optional.split()), needed, route)


_DRY = {"dry_run": "dry-run"}
_INSTANCE = "/2/instances/{instance_name}"

_TAG_PATHS = {
    "cluster": "/2/tags",
    "instance": "/2/instances/{name}/tags",
    "node": "/2/nodes/{name}/tags",
    "nodegroup": "/2/groups/{name}/tags",
    "network": "/2/networks/{name}/tags",
}
"""The path of an object's tags by its kind (Ganeti: rapi/rlib2.py, _R_Tags); kinds as in OP_TAGS_SET."""
_TAG_QUERY = {"tags": "tag", **_DRY}

OPCODES: t.Mapping[str, Definition] = {
    "OP_INSTANCE_CREATE": _opcode(
        "instance_name mode disks nics",
        "force_variant wait_for_sync name_check ignore_ipolicy opportunistic_locking beparams disk_template group_name"
        " file_driver file_storage_dir hvparams hypervisor iallocator identify_defaults ip_check conflicts_check no_install"
        " osparams osparams_private osparams_secret os_type pnode pnode_uuid snode snode_uuid source_handshake"
        " source_instance_name source_shutdown_timeout source_x509_ca src_node src_node_uuid src_path compress start"
        " forthcoming commit tags instance_communication helper_startup_timeout helper_shutdown_timeout",
        Route("POST", "/2/instances", body=True, query=_DRY, extra={"__version__": 1}),
    ),
    "OP_INSTANCE_REMOVE": _opcode(
        "instance_name",
        "instance_uuid shutdown_timeout ignore_failures",
        Route("DELETE", _INSTANCE, body=True, query=_DRY, never=frozenset(("ignore_failures",))),
    ),
    "OP_INSTANCE_STARTUP": _opcode(
        "instance_name",
        "instance_uuid force ignore_offline_nodes hvparams beparams no_remember startup_paused shutdown_timeout",
        Route("PUT", _INSTANCE + "/startup", query={"force": "force", "no_remember": "no_remember", **_DRY}),
    ),
    "OP_INSTANCE_SHUTDOWN": _opcode(
        "instance_name",
        "instance_uuid force ignore_offline_nodes timeout no_remember admin_state_source",
        Route("PUT", _INSTANCE + "/shutdown", body=True, query={"no_remember": "no_remember", **_DRY}),
    ),
    "OP_INSTANCE_REBOOT": _opcode(
        "instance_name",
        "instance_uuid shutdown_timeout ignore_secondaries reboot_type",
        Route("POST", _INSTANCE + "/reboot", body=True, query={"reboot_type": "type", "ignore_secondaries": "ignore_secondaries", **_DRY}),
    ),
    "OP_INSTANCE_RENAME": _opcode(
        "instance_name new_name", "instance_uuid name_check ip_check", Route("PUT", _INSTANCE + "/rename", body=True)
    ),
    "OP_INSTANCE_REINSTALL": _opcode(
        # RAPI's way stops an instance that runs, and takes no private OS parameters, which Ganeti then forgets
        "instance_name",
        "instance_uuid force_variant os_type osparams osparams_private osparams_secret",
    ),
    "OP_INSTANCE_SET_PARAMS": _opcode(
        # hotplug_if_possible is gone in Ganeti 3.1
        "instance_name",
        "instance_uuid force force_variant ignore_ipolicy nics disks beparams runtime_mem hvparams disk_template ext_params"
        " file_driver file_storage_dir pnode pnode_uuid remote_node remote_node_uuid iallocator os_name osparams"
        " osparams_private wait_for_sync offline conflicts_check hotplug hotplug_if_possible instance_communication",
        Route("PUT", _INSTANCE + "/modify", body=True),
    ),
    "OP_INSTANCE_QUERY_DATA": _opcode(
        "instances", "use_locking static", Route("GET", "/2/instances/{instances}/info", query={"static": "static"})
    ),
    "OP_INSTANCE_ACTIVATE_DISKS": _opcode(
        "instance_name",
        "instance_uuid ignore_size wait_for_sync",
        Route("PUT", _INSTANCE + "/activate-disks", query={"ignore_size": "ignore_size"}),
    ),
    "OP_INSTANCE_DEACTIVATE_DISKS": _opcode(
        "instance_name", "instance_uuid force", Route("PUT", _INSTANCE + "/deactivate-disks", query={"force": "force"})
    ),
    "OP_INSTANCE_GROW_DISK": _opcode(
        "instance_name disk amount",
        "instance_uuid wait_for_sync absolute ignore_ipolicy",
        Route("POST", _INSTANCE + "/disk/{disk}/grow", body=True),
    ),
    "OP_INSTANCE_RECREATE_DISKS": _opcode(
        "instance_name", "instance_uuid disks nodes node_uuids iallocator", Route("POST", _INSTANCE + "/recreate-disks", body=True)
    ),
    "OP_INSTANCE_MIGRATE": _opcode(
        "instance_name",
        "instance_uuid mode live target_node target_node_uuid allow_runtime_changes ignore_ipolicy cleanup iallocator"
        " allow_failover ignore_hvversions",
        Route("PUT", _INSTANCE + "/migrate", body=True),
    ),
    "OP_INSTANCE_FAILOVER": _opcode(
        "instance_name",
        "instance_uuid shutdown_timeout ignore_consistency target_node target_node_uuid ignore_ipolicy cleanup iallocator",
        Route("PUT", _INSTANCE + "/failover", body=True),
    ),
    "OP_INSTANCE_MOVE": _opcode(
        "instance_name", "instance_uuid shutdown_timeout ignore_ipolicy target_node target_node_uuid compress ignore_consistency"
    ),
    "OP_TAGS_SET": _opcode("kind tags", "name", Route("PUT", "{tags}", query=_TAG_QUERY)),
    "OP_TAGS_DEL": _opcode("kind tags", "name", Route("DELETE", "{tags}", query=_TAG_QUERY)),
    "OP_TAGS_GET": _opcode("kind", "use_locking name"),
    "OP_CLUSTER_SET_PARAMS": _opcode(
        "",
        "force hv_state disk_state vg_name enabled_hypervisors hvparams beparams os_hvp osparams osparams_private_cluster"
        " diskparams candidate_pool_size max_running_jobs max_tracked_jobs uid_pool add_uids remove_uids maintain_node_health"
        " prealloc_wipe_disks nicparams ndparams ipolicy drbd_helper default_iallocator default_iallocator_params mac_prefix"
        " master_netdev master_netmask reserved_lvs hidden_os blacklisted_os use_external_mip_script enabled_disk_templates"
        " modify_etc_hosts file_storage_dir shared_file_storage_dir gluster_storage_dir install_image"
        " instance_communication_network zeroing_image compression_tools enabled_user_shutdown enabled_data_collectors"
        " data_collector_interval",
        Route("PUT", "/2/modify", body=True, forbidden=frozenset(("compression_tools",))),
    ),
    "OP_CLUSTER_REDIST_CONF": _opcode("", "", Route("PUT", "/2/redistribute-config")),
    "OP_CLUSTER_VERIFY": _opcode("", "debug_simulate_errors error_codes skip_checks ignore_errors verbose group_name verify_clutter"),
    "OP_OS_DIAGNOSE": _opcode("output_fields", "names"),
    "OP_EXT_STORAGE_DIAGNOSE": _opcode("output_fields", "names"),
    "OP_QUERY": _opcode("what fields", "use_locking qfilter"),
    "OP_NODE_SET_PARAMS": _opcode(
        "node_name",
        "node_uuid force hv_state disk_state master_candidate offline drained auto_promote master_capable vm_capable"
        " secondary_ip ndparams powered",
        Route("POST", "/2/nodes/{node_name}/modify", body=True),
    ),
    "OP_GROUP_SET_PARAMS": _opcode(
        "group_name",
        "ndparams diskparams alloc_policy ipolicy hv_state disk_state",  # RAPI takes some of these by other names
    ),
    "OP_NETWORK_SET_PARAMS": _opcode(
        "network_name",
        "gateway network6 gateway6 mac_prefix add_reserved_ips remove_reserved_ips",
        Route("PUT", "/2/networks/{network_name}/modify", body=True),
    ),
    "OP_BACKUP_PREPARE": _opcode(
        "instance_name mode", "instance_uuid", Route("PUT", _INSTANCE + "/prepare-export", query={"mode": "mode"})
    ),
    "OP_BACKUP_EXPORT": _opcode(
        "instance_name target_node",
        "instance_uuid compress shutdown_timeout target_node_uuid shutdown remove_instance ignore_remove_failures mode"
        " x509_key_name destination_x509_ca zero_free_space zeroing_timeout_fixed zeroing_timeout_per_mib long_sleep",
        Route("PUT", _INSTANCE + "/export", body=True),
    ),
    "OP_BACKUP_REMOVE": _opcode("instance_name", "instance_uuid"),
    "OP_TEST_DELAY": _opcode("duration", "on_master on_nodes on_node_uuids repeat interruptible no_locks"),
}


def opcode(op_id: str, **fields: t.Any) -> t.Dict[str, t.Any]:
    """An opcode as Ganeti takes it: ``opcode("OP_INSTANCE_STARTUP", instance_name="x")``.

    Raises InvalidInput for an opcode or field that Ganeti does not have, and for a required field that is missing.
    """
    result = {"OP_ID": op_id, **fields}
    _definition(result)
    return result


def sayable(op: t.Mapping[str, t.Any], transport: str) -> t.Mapping[str, t.Any]:
    """The opcode without the instance's UUID where the transport cannot say it: RAPI takes it in a request's body only."""
    route = _find(op["OP_ID"]).route
    if transport != "rapi" or (route is not None and route.body):
        return op
    return {name: value for name, value in op.items() if name != "instance_uuid"}


def secret_fields(op_id: str) -> t.FrozenSet[str]:
    """Which of an opcode's fields hold secrets."""
    return _find(op_id).fields & SECRET_FIELDS


def masked(op: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """The opcode with its secrets masked, to be shown or logged."""
    return {name: MASK if name in SECRET_FIELDS and value else value for name, value in op.items()}


def scrub(text: str, op: t.Mapping[str, t.Any]) -> str:
    """The text without the opcode's secrets: an answer may quote what was asked.

    A short secret is part of much that has nothing to do with it, so it is masked only where it is a whole word, and one of a few
    characters only where it stands as a value: in quotes, or alone behind a colon or an equals sign.
    """
    secrets = {leaf for name in SECRET_FIELDS for leaf in _strings(op.get(name)) if leaf}
    for secret in sorted(secrets, key=len, reverse=True):
        pattern = next(pattern for shortest, pattern in _SECRETS if len(secret) >= shortest)
        text = re.sub(pattern.format(re.escape(secret)), lambda found: f"{found['before']}{MASK}", text)
    return text


def _strings(value: t.Any) -> t.Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, t.Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item)


def _find(op_id: str) -> Definition:
    if op_id not in OPCODES:
        raise InvalidInput(f"There is no opcode {op_id} in this collection's table.")
    return OPCODES[op_id]


def _definition(op: t.Mapping[str, t.Any]) -> Definition:
    """The table's entry for an opcode whose fields are all known and complete."""
    op_id = str(op.get("OP_ID"))
    definition = _find(op_id)
    given = frozenset(op) - {"OP_ID"}
    unknown = sorted(given - definition.fields - COMMON_FIELDS)
    if unknown:
        raise InvalidInput(f"{op_id} has no field {', '.join(unknown)}.")
    missing = sorted(definition.required - given)
    if missing:
        raise InvalidInput(f"{op_id} needs {', '.join(missing)}.")
    return definition


def rapi_request(op: t.Mapping[str, t.Any]) -> RapiRequest:
    """The request by which RAPI submits just this opcode.

    Raises RequestRefused where RAPI has no route for the opcode, or no way to set one of its fields to the value
    asked for: nothing is left out silently.
    """
    op_id = str(op.get("OP_ID"))
    route = _definition(op).route
    if route is None:
        raise RequestRefused(f"RAPI has no way to run {op_id}: use transport ssh, or luxi on the master.", ecode="wrong_input")
    path, rest = _path(route, op)
    query: t.List[t.Tuple[str, str]] = []
    body: t.Dict[str, t.Any] = dict(route.extra)
    for name, value in rest.items():
        if name == "reason" and isinstance(value, (list, tuple)) and len(value) == 1:
            query.append(("reason", str(value[0][1])))
        elif name in route.query:
            query += _query(route.query[name], value)
        elif route.body and name not in route.never | route.forbidden | {"reason"}:
            body[name] = value
        elif not _is_default(value):
            raise RequestRefused(
                f"RAPI cannot set {name} of {op_id}: use transport ssh, or luxi on the master.", ecode="wrong_input", field=name
            )
    target = path + ("?" + urlencode(query) if query else "")
    return RapiRequest(route.method, target, body if route.body else None)


def _is_default(value: t.Any) -> bool:
    """Whether leaving the field out means the same: all fields that some route cannot set are unset, false or empty by default."""
    return value is None or value is False or value in ({}, [], ())


def _query(parameter: str, value: t.Any) -> t.List[t.Tuple[str, str]]:
    if value is None:
        return []
    if isinstance(value, bool):
        return [(parameter, str(int(value)))]
    return [(parameter, str(item)) for item in (value if isinstance(value, (list, tuple)) else [value])]


def _path(route: Route, op: t.Mapping[str, t.Any]) -> t.Tuple[str, t.Dict[str, t.Any]]:
    """The request's path, and the opcode's fields that are not said by it."""
    rest = {name: value for name, value in op.items() if name != "OP_ID"}
    template = route.path
    if template == "{tags}":
        kind = rest.pop("kind")
        if kind not in _TAG_PATHS:
            raise InvalidInput(f"Objects of kind {kind} have no tags: use one of {', '.join(_TAG_PATHS)}.")
        template = _TAG_PATHS[kind]
        if kind == "cluster":
            rest.pop("name", None)
    names: t.Dict[str, str] = {}
    for name in re.findall(r"{(\w+)}", template):
        names[name] = _path_name(op["OP_ID"], name, rest.pop(name, None))
    return template.format(**names), rest


def _path_name(op_id: str, name: str, value: t.Any) -> str:
    if isinstance(value, (list, tuple)):
        if len(value) != 1:
            raise RequestRefused(
                f"RAPI takes exactly one item as {name} of {op_id}: use transport ssh, or one call for each.",
                ecode="wrong_input",
                field=name,
            )
        value = value[0]
    text = str(value) if value is not None else ""
    if not _PATH_NAME.fullmatch(text):
        raise InvalidInput(f"{text!r} is no name that RAPI takes as {name} of {op_id}: letters, digits, dots, dashes and underscores.")
    return text
