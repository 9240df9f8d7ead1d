# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What Ganeti does only to an instance that is stopped: other disks of the same content, another name, another installation.

1. What is on the disks is lost only with the state `reinstalled`, and with another operating system than is installed, or with none named.
2. From before an installation until after it the instance has a tag that says so: one that failed is not taken for installed. One that Ganeti refuses,
   or that has not begun, leaves no such tag, as the disks are as they were.
3. A name that another instance has is not given.
"""

from __future__ import annotations

import typing as t

from .._difference import Difference
from ..api import claims, instances, naming
from ..api.instances import Instance
from ..api.opcodes import opcode
from .devices import OWN_OPTIONS
from .facts import Facts, Op, Params
from .parameters import FREE, Merged
from .table import CONVERSION, EXTERNAL, HOW, MIRRORED, MODIFY, REINSTALL, RENAME, TABLE

REINSTALLED = "reinstalled"

_DISKLESS, _ADOPTED, _MIXED = "diskless", "blockdev", "mixed"
_PROVIDER = "provider"


class Work(t.NamedTuple):
    """The opcodes, the name that the instance has after them, and what is done, in words that follow "is"."""

    opcodes: t.List[Op]
    name: str
    said: str = ""


def work(instance: Instance, params: Params, facts: Facts, merged: t.Mapping[str, Merged], difference: Difference, problems: t.List[str]) -> Work:
    """What has to be done to the instance while it is stopped; whatever stands against it is put into *problems*."""
    name = instance["name"]
    ops, words = [], []
    if converts(instance, params):
        ops.append(_conversion(instance, params, facts, problems))
        words.append(f"converted to {params['disk_template']}")
        difference.add("disk_template", instance["disk_template"], params["disk_template"])
    wanted = _other_name(instance, params)
    if wanted is not None:
        problems += _name_problems(name, wanted, params, facts)
        ops.append(opcode(RENAME, instance_name=name, **{**_fields("rename", params), "new_name": wanted}))
        words.append("renamed")
        difference.add("name", name, wanted)
        name = wanted
    if is_reinstalled(instance, params):
        ops += _installation(instance, params, facts, merged, name, problems)
        words.append("reinstalled")
        system = params["os"] or instance["os"]
        difference.add("os", instance["os"], f"{system}, installed anew" if system == instance["os"] else system)
    if any(op["OP_ID"] in (MODIFY, REINSTALL) for op in ops) and instance["admin_state"] == "offline":
        problems.append(f"{instance['name']} is offline, and not {' and '.join(words)} before it is marked online (gnt-instance modify --online).")
    return Work(ops, name, " and ".join(words))


def _fields(how: str, params: Params) -> t.Dict[str, t.Any]:
    """The fields of an opcode that rows of the table name in their attribute *how*, as far as they are given."""
    return {getattr(row, how): params[row.name] for row in TABLE if getattr(row, how) and params[row.name] is not None}


# --- Another name -----------------------------------------------------------------------------------------------------


def _other_name(instance: Instance, params: Params) -> t.Optional[str]:
    if params["new_name"] is None:
        return None
    wanted = naming.normal(params["new_name"])
    return None if instances.meant(wanted, [instance["name"]]) else wanted


def _name_problems(name: str, wanted: str, params: Params, facts: Facts) -> t.List[str]:
    problems = []
    if facts.namesake:
        problems.append(f"{name} is to be named {wanted}, and there is {facts.namesake} besides: rename or remove the one that is not to have this name.")
    if naming.RELATED.search(wanted):
        problems.append(f"new_name is {wanted}, and names that end so are for moves within a cluster: choose another.")
    if params["ip_check"] and not params["name_check"]:
        problems.append("ip_check needs name_check, as the address is that of the name.")
    return problems


# --- Another installation ---------------------------------------------------------------------------------------------


def is_reinstalled(instance: Instance, params: Params) -> bool:
    """Whether its operating system is to be installed: another one, or the same for no other is named, or as it was not installed to its end."""
    other = params["os"] is None or params["os"] != instance["os"]
    return params["state"] == REINSTALLED and (other or claims.UNFINISHED in instance["tags"])


def _installation(instance: Instance, params: Params, facts: Facts, merged: t.Mapping[str, Merged], name: str, problems: t.List[str]) -> t.List[Op]:
    system = params["os"] or instance["os"]
    if not system:
        problems.append(f"{instance['name']} has no operating system to install again: name one in os.")
    if not instance["disks"]:
        problems.append(f"{instance['name']} has no disks to install on: add one first, or leave out state reinstalled.")
    if facts.private is None:
        problems.append(
            f"The private OS parameters of {instance['name']} cannot be read over RAPI, and Ganeti forgets those that are not given with an installation: "
            "use transport ssh, or luxi on the master."
        )
    # Ganeti keeps of an instance's own OS parameters only those that come with the opcode.
    own = {"osparams": instance["osparams"]["own"], "osparams_private": facts.private or {}}
    whole = {kind: {**own[kind], **(merged[kind].after if kind in merged else {})} for kind in own}
    kept = {kind: {name: value for name, value in values.items() if value is not None} for kind, values in whole.items()}
    tag = dict(kind="instance", name=name, tags=[claims.UNFINISHED])
    install = opcode(REINSTALL, instance_name=name, **{**_fields("reinstall", params), **kept, "os_type": system})
    # What Ganeti refuses is refused before the tag says that what is on the disks may be gone.
    return [{**install, "dry_run": True}, opcode("OP_TAGS_SET", **tag), install, opcode("OP_TAGS_DEL", **tag)]


def before(merged: t.Mapping[str, Merged]) -> t.Dict[str, Merged]:
    """The parameters that have to change before an installation: it brings OS parameters itself, and cannot take one away."""
    return {
        kind: each._replace(send={name: value for name, value in each.send.items() if each.after[name] is None}) if kind in FREE else each
        for kind, each in merged.items()
    }


# --- Other disks ------------------------------------------------------------------------------------------------------


def converts(instance: Instance, params: Params) -> bool:
    """Whether its disks are to be of another template."""
    return params["disk_template"] not in (None, instance["disk_template"])


def _conversion(instance: Instance, params: Params, facts: Facts, problems: t.List[str]) -> Op:
    wanted = params["disk_template"]
    obstacle = _obstacle(instance["disk_template"], wanted, facts) or _lack(wanted, params, facts.info)
    if obstacle:
        problems.append(f"disk_template of {instance['name']} is {instance['disk_template']} and cannot become {wanted}: {obstacle}.")
    given = {row.modify: params[row.name] for row in CONVERSION if wanted in row.templates and params[row.name] is not None}
    if "ext_params" in given:
        given["ext_params"] = {name: str(value) for name, value in given["ext_params"].items()}
    how = {row.modify: params[row.name] for row in HOW}
    return opcode(MODIFY, instance_name=instance["name"], disk_template=wanted, **given, **how)


def _obstacle(now: str, wanted: str, facts: Facts) -> t.Optional[str]:
    """Why Ganeti converts no disks from and to these templates, if it does not."""
    if now == _DISKLESS:
        return "there are no disks to convert; remove the instance and make it anew, as it has nothing to lose"
    if now == _MIXED:
        return "Ganeti does not convert disks of several templates at once"
    if wanted == _DISKLESS:
        return "disks are not converted to none; remove each one, with its state absent"
    if wanted == _ADOPTED:
        return "Ganeti does not copy to devices that it has not made; make the instance anew, with adopt, and copy the data"
    enabled = facts.info.get("enabled_disk_templates") or ()
    if wanted not in enabled:
        return f"the cluster has enabled {', '.join(enabled)} alone; enable it with the module cluster, or move to a cluster that has it with instance_move"
    if facts.allowed is not None and wanted not in facts.allowed:
        return f"the policy of its node group allows {', '.join(sorted(facts.allowed))} alone; allow it there, or bring it to another group with instance_move"
    return None


def _lack(wanted: str, params: Params, info: t.Mapping[str, t.Any]) -> t.Optional[str]:
    """What is missing, or too much, in the parameters of a conversion, if anything."""
    extra = params["ext_params"] or {}
    reserved = sorted((OWN_OPTIONS - {_PROVIDER}) & set(extra))
    if wanted in EXTERNAL and not extra.get(_PROVIDER):
        return "it needs a provider in ext_params"
    if wanted in EXTERNAL and reserved:
        return f"ext_params cannot set {', '.join(reserved)}, but only the provider and its own parameters"
    if wanted not in EXTERNAL and extra:
        return "ext_params are given, which only disks of template ext have"
    if wanted not in MIRRORED:
        return f"secondary_node is given, and disks of template {wanted} are mirrored to none" if params["secondary_node"] else None
    if params["secondary_node"] and params["iallocator"]:
        return "secondary_node and iallocator are given, and either chooses the node to mirror to"
    if not (params["secondary_node"] or params["iallocator"] or info.get("default_iallocator")):
        return "it needs a secondary_node or an iallocator, and the cluster has no default one"
    return None
