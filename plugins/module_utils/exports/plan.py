# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is to be done so that an instance has the export that is wanted, and what stands against it; nothing here talks to anybody.

What Ganeti does with an export (cmdlib/backup.py, LUBackupExport), and what follows:

1. It keeps one export of an instance in a cluster: a new one removes that of before, on whatever node. So a new one is made only if that is asked for.
2. It stops the instance, then tries to snapshot its disks, and starts it again at once where that works. Where it does not, the job fails and *leaves the
   instance down*, unless ``long_sleep`` is set, by which it is started again after the copy. So that is always set: it changes nothing where snapshots work.
3. Snapshots are LVM's, and those of providers of ext disks. So what is kept in files is never exported while it runs.
4. The operating system's own script writes each disk, and one that writes nothing (as Debian's noop) has succeeded for Ganeti. So what was written is
   looked at on the node, and the instance is removed only after that, by a job of its own.
5. Ganeti would start an instance again before that. So one that is to be removed is stopped and marked offline before it is exported, and nobody can start it.
   Whoever takes that mark away takes the removal with it: it is looked for again, and the job that removes sets it once more, which Ganeti refuses where
   the instance is up. One that was started and stopped between that look and the job is not seen. Where the export fails, the run that has set the mark
   takes it away, and no other. A run that dies leaves it.
6. Where it is not known what becomes of a job, nothing is brought back: it would wait for that job's locks.
"""

from __future__ import annotations

import configparser
import typing as t

from ..api import claims
from ..api.opcodes import opcode

PRESENT, ABSENT = "present", "absent"
CONFIGURATION = "config.ini"
"""The file of an export that describes the instance; the others are its disks."""
HELPER, GANETI = "helper", "ganeti"
"""Who zeroes free space: the collection's helper, or Ganeti's own zeroing image."""

_WITHOUT_SNAPSHOTS = ("file", "sharedfile", "gluster", "diskless", "rbd")
_BROKEN = "3.1.0~rc"
"""Releases whose exports fail: they want the name ganeti.example.com of each node (facts: gnt-backup of 3.1.0~rc2)."""

Params = t.Mapping[str, t.Any]
Opcode = t.Dict[str, t.Any]


class Export(t.NamedTuple):
    """An export: of which instance, on which node."""

    instance: str
    node: str


class Facts(t.NamedTuple):
    """What is known: the instance as `api.instances` describes it, None where there is none; its exports; nodes that do not tell of theirs; the cluster."""

    name: str
    instance: t.Optional[t.Mapping[str, t.Any]]
    exports: t.Tuple[Export, ...]
    silent: t.Tuple[str, ...]
    info: t.Mapping[str, t.Any]
    longer: t.Tuple[str, ...] = ()
    """Other instances whose first labels the name is: Ganeti takes it for theirs, where there is no instance of this name."""

    @property
    def runs(self) -> bool:
        """Whether the instance runs, or is to run, as far as is known: what a node does not tell counts as running."""
        return self.instance is not None and (self.instance["admin_state"] == "up" or self.instance["oper_state"] is not False)


def is_there(params: Params, facts: Facts, target: str) -> bool:
    """Whether all is as the parameters say."""
    if params["state"] == ABSENT:
        return not facts.exports and not facts.silent
    on_target = any(export.node == target for export in facts.exports)
    return on_target and not params["replace"] and not (params["remove_instance"] and facts.instance is not None)


def problems(params: Params, facts: Facts, target: str) -> t.Iterator[str]:
    """What stands against what is to be done, all of it, each with what to do."""
    for node in facts.silent:
        yield f"{node} does not tell which exports it holds: bring it back, or mark it offline"
    if params["state"] == PRESENT:
        yield from _of_export(params, facts, target)
    elif facts.instance is None and facts.longer:
        there = ", ".join(sorted({each.node for each in facts.exports}))
        yield f"Ganeti would take {facts.name} for {facts.longer[0]}, and remove that one's export: remove its directory on {there} by hand"


def _of_export(params: Params, facts: Facts, target: str) -> t.Iterator[str]:
    if facts.instance is None:
        yield f"There is no instance {facts.name} on {facts.info['name']}"
        return
    left = _left_by_a_death(params, facts, target)
    if left:
        yield left
        return
    elsewhere = sorted({export.node for export in facts.exports})
    if params["remove_instance"] and facts.runs and not params["shutdown"]:
        yield f"{facts.name} runs, or is to run, and is to be removed: set shutdown, or stop it first"
    if elsewhere and not params["replace"]:
        yield f"{facts.name} has an export on {', '.join(elsewhere)}, which Ganeti removes when it makes another one: set replace if it may"
    other = claims.under_way(facts.instance["tags"])
    if other:
        yield f"{facts.name} {other}"
    if str(facts.info.get("software_version", "")).startswith(_BROKEN):
        yield f"Ganeti {facts.info['software_version']} cannot export (it takes each node's certificate for one of another name): move the instance instead"
    if params["compress"] not in ("none", *facts.info["compression_tools"]):
        yield f"{params['compress']} is not in the cluster's compression_tools ({', '.join(facts.info['compression_tools'])})"
    yield from _of_running(params, facts)
    if params["zero_free_space"] and params["zeroing_by"] == GANETI:
        yield from of_ganetis_zeroing(params, facts)


def _left_by_a_death(params: Params, facts: Facts, target: str) -> t.Optional[str]:
    """That a run which died has left the instance marked offline, with its export, if it seems so; whether that is whole, nobody knows."""
    instance = t.cast(t.Mapping[str, t.Any], facts.instance)
    has = instance["admin_state"] == "offline" and any(export.node == target for export in facts.exports)
    if not has or not params["remove_instance"] or params["replace"]:
        return None
    return (
        f"{facts.name} is marked offline and has an export on {target}, as a run leaves it that died before it had removed the instance. Set replace, which "
        f"exports it anew and removes it, or {by_hand(facts.name)}"
    )


def by_hand(name: str) -> str:
    """What decides about an instance that is exported and marked offline."""
    return f"decide by hand: gnt-instance remove {name}, or gnt-instance modify --online {name} and gnt-instance start {name}"


def fence(facts: Facts, params: Params) -> t.List[Opcode]:
    """What stops an instance that is to be removed, and keeps everybody from starting it."""
    instance = t.cast(t.Mapping[str, t.Any], facts.instance)
    stopping = [_of(instance, "OP_INSTANCE_SHUTDOWN", timeout=params["shutdown_timeout"])] if facts.runs else []
    return [*stopping, *([] if instance["admin_state"] == "offline" else [_of(instance, "OP_INSTANCE_SET_PARAMS", offline=True)])]


def back(before: t.Mapping[str, t.Any], now: t.Mapping[str, t.Any], stopped: bool, fenced: bool) -> t.List[Opcode]:
    """What makes the instance what it was *before*; nothing where it is, where it is not known to be stopped, or where somebody else has marked it offline.

    *stopped* says whether this run had a job that stops it for good, and *fenced* whether this run has marked it offline.
    """
    if now["oper_state"] is not False or (now["admin_state"] == "offline" and not fenced):
        return []
    online = [_of(before, "OP_INSTANCE_SET_PARAMS", offline=False)] if now["admin_state"] == "offline" else []
    ran = before["oper_state"] is True and (stopped or now["admin_state"] == "up")
    return [*online, *([_of(before, "OP_INSTANCE_STARTUP")] if ran else [])]


def why_not_removed(before: t.Mapping[str, t.Any], now: t.Optional[t.Mapping[str, t.Any]]) -> t.Optional[str]:
    """Why the instance must not be removed, as it is not what was exported, in words that follow its name; None where it is."""
    if now is None:
        return "is not there any more"
    if now["admin_state"] != "offline" or now["oper_state"] is not False:
        return "is not marked offline any more, or runs: somebody has started it"
    if [disk["uuid"] for disk in now["disks"]] != [disk["uuid"] for disk in before["disks"]]:
        return "has other disks than were exported"
    return claims.under_way(now["tags"])


def removal(facts: Facts) -> t.List[Opcode]:
    """What removes the instance; Ganeti refuses the first where it is up."""
    instance = t.cast(t.Mapping[str, t.Any], facts.instance)
    return [_of(instance, "OP_INSTANCE_SET_PARAMS", offline=True), _of(instance, "OP_INSTANCE_REMOVE")]


def _of(instance: t.Mapping[str, t.Any], op_id: str, **fields: t.Any) -> Opcode:
    return opcode(op_id, instance_name=instance["name"], instance_uuid=instance["uuid"], **fields)


def lacks(configuration: str, sizes: t.Mapping[str, int]) -> t.Optional[str]:
    """What an export lacks that has this *configuration*, and files of these *sizes*, in words; None where there is something of every disk.

    Only the files that it names count: what failed exports have left beside them stays there (Ganeti: masterd.instance, LocalExport).
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(configuration)
        count = parser.getint("instance", "disk_count")
        files = [parser.get("instance", f"disk{index}_dump") for index in range(count)]
    except (configparser.Error, ValueError) as error:
        return f"has no configuration that can be read ({' '.join(str(error).split())})"
    empty = [name for name in files if not sizes.get(name)]
    return f"holds nothing of {len(empty)} of its {count} disks: the export script of its operating system wrote nothing" if empty else None


def _of_running(params: Params, facts: Facts) -> t.Iterator[str]:
    instance = t.cast(t.Mapping[str, t.Any], facts.instance)
    if not facts.runs or params["shutdown"]:
        return
    if instance["disk_template"] in _WITHOUT_SNAPSHOTS:
        yield f"{facts.name} runs, and disks of the template {instance['disk_template']} have no snapshots: set shutdown, or stop it first"
    elif params["zero_free_space"]:
        yield f"{facts.name} runs, or is to run: set shutdown, or stop it first"


def of_ganetis_zeroing(params: Params, facts: Facts) -> t.Iterator[str]:
    """What stands against Ganeti's own zeroing, which makes a temporary disk for an image and boots the instance from it."""
    instance, image = t.cast(t.Mapping[str, t.Any], facts.instance), str(facts.info.get("zeroing_image") or "")
    hvparams = instance["hvparams"]["effective"]
    if not facts.info.get("volume_group_name"):
        yield "Ganeti's own zeroing needs LVM, for a temporary disk, and the cluster has no volume group: set zeroing_by to helper"
    if instance["hypervisor"] == "kvm" and not hvparams.get("user_shutdown"):
        yield f"Ganeti's own zeroing needs the hypervisor parameter user_shutdown, which {facts.name} has not: set it, or set zeroing_by to helper"
    if hvparams.get("boot_order", "disk") != "disk":
        yield f"Ganeti's own zeroing boots from the disk, and {facts.name} has the boot_order {hvparams['boot_order']}: set zeroing_by to helper"
    if not image:
        yield "Ganeti's own zeroing needs the cluster's parameter zeroing_image: set it, or set zeroing_by to helper"
    elif not image.startswith("/"):
        yield f"Ganeti cannot load the zeroing_image {image} under Python 3: give the path of a file on all nodes, or set zeroing_by to helper"
    if params["compress"] == "none":
        yield "Ganeti zeroes free space only for an export that is compressed: choose a tool with compress"
    if not params["shutdown"]:
        yield "Ganeti zeroes free space only of an instance that it may shut down: set shutdown"


def export(params: Params, facts: Facts, target: str) -> Opcode:
    """The opcode that makes the export."""
    instance = t.cast(t.Mapping[str, t.Any], facts.instance)
    runs = facts.runs and not params["remove_instance"]
    stops = bool(params["shutdown"]) and (runs or (params["zero_free_space"] and params["zeroing_by"] == GANETI))
    op = opcode(
        "OP_BACKUP_EXPORT", instance_name=instance["name"], instance_uuid=instance["uuid"], target_node=target, mode="local", compress=params["compress"],
        shutdown=stops, shutdown_timeout=params["shutdown_timeout"], long_sleep=stops,
    )  # fmt: skip
    if params["zero_free_space"] and params["zeroing_by"] == GANETI:
        limits = {"zeroing_timeout_fixed": int(params["zeroing_timeout_fixed"]), "zeroing_timeout_per_mib": params["zeroing_timeout_per_mib"]}
        return {**op, "zero_free_space": True, **limits}
    return op
