# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The table of cluster parameters: each option, where it is read, how it is set, what its default is, what stands against it.

Names are the fields of OP_CLUSTER_SET_PARAMS (Ganeti 3.0: opcodes.py), so what is said in Ganeti's documentation holds here.
Ganeti's own defaults are not repeated here where they are many: they are read from the Ganeti that is installed on the master.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .._difference import Difference
from .._errors import InvalidInput, PreflightFailed
from .opcodes import MASK
from .parameter_kinds import (
    Directory,
    Flag,
    FreeTree,
    Intervals,
    Kind,
    MacPrefix,
    Names,
    NameSet,
    Number,
    OsHypervisors,
    OsNames,
    Policy,
    Problem,
    Tools,
    Tree,
    Uids,
    WholeTree,
    delta,
    leaves,
)

Constants = t.Mapping[str, t.Any]

INFO, CONFIG, EXTENDED = "info", "config", "extended"
EVERYWHERE = frozenset(("luxi", "ssh", "rapi"))
ON_MASTER = frozenset(("luxi", "ssh"))
#: The opcode that takes a parameter, and what takes those that no field of it sets.
MODIFY, TAGS, FILE = "OP_CLUSTER_SET_PARAMS", "tags", "file"

#: Fields of the opcode that are no parameters: how to set others, by steps that the lists here make needless.
STEPS = frozenset(("force", "add_uids", "remove_uids"))


class State(t.NamedTuple):
    """What is known of a cluster. What could not be read is None: ``config`` and ``constants`` by RAPI, ``extended`` too."""

    info: t.Mapping[str, t.Any]
    config: t.Optional[t.Mapping[str, t.Any]] = None
    constants: t.Optional[Constants] = None
    extended: t.Optional[t.Mapping[str, t.Any]] = None

    def part(self, source: str) -> t.Optional[t.Mapping[str, t.Any]]:
        """One of the places where parameters are read."""
        return {INFO: self.info, CONFIG: self.config, EXTENDED: self.extended}[source]


class Constant(t.NamedTuple):
    """A default that the installed Ganeti has under a name in its constants."""

    name: str
    #: Makes the parameter's default of the constant, of what is stored and of what the user gave.
    shape: t.Callable[[t.Any, t.Any, t.Any], t.Any] = lambda constant, current, given: constant


class Each(t.NamedTuple):
    """The same default for every name that is stored."""

    value: t.Any


class Never(t.NamedTuple):
    """No default: why, and what to do."""

    why: str


@dataclass(frozen=True)
class Parameter:
    """One row: an option of the module."""

    name: str
    kind: Kind
    #: What the documentation says of it.
    about: str
    default: t.Any = ""
    #: Its name where it is read, if that is another.
    key: str = ""
    source: str = INFO
    via: str = MODIFY
    transports: t.FrozenSet[str] = EVERYWHERE
    secret: bool = False
    #: Says what stands against setting a value (what is stored, what is wanted), or nothing.
    check: t.Callable[[t.Any, t.Any], t.Optional[str]] = lambda current, wanted: None
    #: Says what the user should know of a change that is possible.
    warn: t.Callable[[t.Any, t.Any], t.Optional[str]] = lambda current, wanted: None

    def read(self, state: State) -> t.Any:
        """The value as the option takes it. Only where the state has the parameter's source."""
        return self.kind.read((state.part(self.source) or {}).get(self.key or self.name))

    def default_for(self, state: State, current: t.Any, given: t.Any) -> t.Any:
        """Ganeti's default in the option's form. Raises Problem where there is none, or it is not to be known."""
        if isinstance(self.default, Never):
            raise Problem(f"has no default: {self.default.why}")
        if isinstance(self.default, Each):
            return dict.fromkeys(current, self.default.value)
        if not isinstance(self.default, Constant):
            return self.default
        if not state.constants or self.default.name not in state.constants:
            raise Problem(
                "is asked for something that only the Ganeti on the master knows, a default or a parameter that is not stored: "
                "use transport ssh, or luxi on the master, or name stored parameters and their values"
            )
        return self.default.shape(state.constants[self.default.name], current, given)

    def want(self, given: t.Any, state: State) -> t.Any:
        """The whole value that the user wants. Raises Problem."""
        current = self.read(state)
        wanted = self.kind.want(given, current, lambda: self.default_for(state, current, given))
        problem = None if wanted == current else self.check(current, wanted)
        if problem:
            raise Problem(problem)
        return wanted


class Change(t.NamedTuple):
    """A parameter that is not as it should be."""

    row: Parameter
    current: t.Any
    wanted: t.Any


def _image(current: str, wanted: str) -> t.Optional[str]:
    """Ganeti looks at a zeroing image only after it has saved the other parameters, and can clear neither image."""
    if not wanted:
        return f"cannot be cleared: Ganeti 3.0 has no way back from {current}; leave it, or give another image"
    if not re.fullmatch(r"(/|(https?|ftp)://)[^\s]*", wanted):
        return f"is {wanted!r}: use an absolute path on the nodes"
    return None


def _image_url(current: str, wanted: str) -> t.Optional[str]:
    if wanted.startswith("/"):
        return None
    return "zeroing_image is a URL, which Ganeti 3.0 takes but cannot fetch under Python 3: zeroing will fail; use a path on the nodes"


def _gluster(current: str, wanted: str) -> t.Optional[str]:
    return (
        f"is {current!r} and stays so: Ganeti 3.0 takes a new gluster_storage_dir without storing it; "
        "it is set when the cluster is made (gnt-cluster init --gluster-storage-dir)"
    )


def _script(current: str, wanted: str) -> t.Optional[str]:
    return f"is {wanted!r}: use the name of an allocator, without a path" if "/" in wanted else None


def _device(current: str, wanted: str) -> t.Optional[str]:
    if re.fullmatch(r"[^\s/.][^\s/]{0,14}", wanted):
        return None
    return f"is {wanted!r}: use the name of a network device of the master"


def _tags(current: t.Sequence[str], wanted: t.Sequence[str]) -> t.Optional[str]:
    unfit = [tag for tag in wanted if not re.fullmatch(r"[\w.+*/:@-]{1,128}", tag, re.ASCII)]
    return f"has {', '.join(map(repr, unfit))}: a tag has up to 128 letters, digits and . + * / : @ - _" if unfit else None


def _pool_shrinks(current: int, wanted: int) -> t.Optional[str]:
    if wanted >= current:
        return None
    return "candidate_pool_size is smaller now, but Ganeti demotes nobody by itself: use gnt-node modify --master-candidate=no"


def _storage(current: str, wanted: str) -> t.Optional[str]:
    return f"is {current} on this cluster and is not switched here: use the module backend_storage, which converts what is stored"


def _named(given: t.Any) -> t.Iterable[str]:
    """The names in a nested parameter; none where the user gave something else, which is refused where shapes are checked."""
    return given if isinstance(given, dict) else ()


TABLE: t.Sequence[Parameter] = (
    Parameter("enabled_hypervisors", Names(empty=False), "Hypervisors in use. The first is the default for new instances.", Never("name them")),
    Parameter("enabled_disk_templates", Names(empty=False), "Disk templates in use. The first is the default.", ["drbd", "plain"]),
    Parameter("hvparams", Tree(), "Parameters of hypervisors, by hypervisor.", Constant("HVC_DEFAULTS")),
    Parameter("os_hvp", OsHypervisors(), "Parameters of hypervisors for an operating system, by system and hypervisor.", {}),
    Parameter(
        "beparams",
        Tree("default", ("maxmem", "minmem"), {"memory": ("maxmem", "minmem")}),
        "Backend parameters of instances. C(memory) stands for C(minmem) and C(maxmem).",
        Constant("BEC_DEFAULTS"),
    ),
    Parameter("nicparams", Tree("default"), "Parameters of network interfaces.", Constant("NICC_DEFAULTS")),
    Parameter("ndparams", Tree(), "Parameters of nodes.", Constant("NDC_DEFAULTS")),
    Parameter("diskparams", Tree(), "Parameters of disks, by disk template.", Constant("DISK_DT_DEFAULTS")),
    Parameter(
        "ipolicy",
        Policy(),
        "The instance policy, with C(minmax) (a list of pairs of C(min) and C(max)), C(std), C(disk-templates), C(vcpu-ratio) and C(spindle-ratio).",
        Constant("IPOLICY_DEFAULTS"),
    ),
    Parameter("osparams", FreeTree(), "Parameters of operating systems, by system.", {}),
    Parameter(
        "osparams_private_cluster",
        FreeTree(),
        "Private parameters of operating systems, by system. Never shown.",
        {},
        source=CONFIG,
        transports=ON_MASTER,
        secret=True,
    ),
    Parameter(
        "hv_state",
        Tree(),
        "What hypervisors hold of a node's resources, by hypervisor.",
        Constant("HVST_DEFAULTS", lambda constant, current, given: dict.fromkeys(set(current) | set(given), constant)),
        key="hv_state_static",
        source=CONFIG,
        transports=ON_MASTER,
    ),
    Parameter(
        "disk_state",
        Tree(),
        "What is held of storage, by storage type and name.",
        Constant("DS_DEFAULTS", lambda constant, current, given: {"plain": dict.fromkeys(_named(given.get("plain")), constant)}),
        key="disk_state_static",
        source=CONFIG,
        transports=ON_MASTER,
    ),
    Parameter("candidate_pool_size", Number(), "How many nodes are master candidates.", 10, warn=_pool_shrinks),
    Parameter("max_running_jobs", Number(), "How many jobs run at once.", 20),
    Parameter("max_tracked_jobs", Number(), "How many running jobs are watched for changes.", 25),
    Parameter("maintain_node_health", Flag(), "Whether to shut down instances and DRBD devices on offline nodes.", False),
    Parameter("prealloc_wipe_disks", Flag(), "Whether to wipe disks before instances get them.", False),
    Parameter("modify_etc_hosts", Flag(), "Whether Ganeti keeps C(/etc/hosts) of the nodes.", True, source=CONFIG, transports=ON_MASTER),
    Parameter("use_external_mip_script", Flag(), "Whether a script of yours sets up the master's address.", False),
    Parameter("enabled_user_shutdown", Flag(), "Whether a shutdown from inside an instance is told from a crash.", False),
    Parameter("default_iallocator", Kind(), "The allocator to use where none is named.", "hail", check=_script),
    Parameter("default_iallocator_params", WholeTree(), "Parameters of the default allocator.", {}),
    Parameter("vg_name", Kind(), "The LVM volume group; an empty text for none.", Never("name a group, or give an empty text"), key="volume_group_name"),
    Parameter("reserved_lvs", NameSet(), "Patterns of logical volumes that Ganeti leaves alone.", []),
    Parameter(
        "drbd_helper",
        Kind(),
        "The helper program of DRBD; an empty text for none.",
        Never("name a program, or give an empty text"),
        key="drbd_usermode_helper",
    ),
    Parameter("file_storage_dir", Directory(), "Where disks of template C(file) are.", Constant("DEFAULT_FILE_STORAGE_DIR")),
    Parameter("shared_file_storage_dir", Directory(), "Where disks of template C(sharedfile) are.", Constant("DEFAULT_SHARED_FILE_STORAGE_DIR")),
    Parameter(
        "gluster_storage_dir",
        Directory(),
        "Where Gluster is mounted. Ganeti 3.0 does not store a change, so this only accepts what is set.",
        Never("it cannot be changed after gnt-cluster init"),
        check=_gluster,
    ),
    Parameter("mac_prefix", MacPrefix(), "The first three octets of generated hardware addresses.", "aa:00:00"),
    Parameter("master_netdev", Kind(), "The network device that has the cluster's address.", Never("name a device"), check=_device),
    Parameter("master_netmask", Number(128), "The length of the netmask of the cluster's address.", Never("give a number")),
    Parameter("uid_pool", Uids(), "User ids that hypervisors may run instances as, as V(1000-1999).", []),
    Parameter("hidden_os", OsNames(), "Operating systems that are not shown.", []),
    Parameter("blacklisted_os", OsNames(), "Operating systems that are not for new instances.", []),
    Parameter("install_image", Kind(), "The image in which OS scripts run. Cannot be cleared.", "", check=_image),
    Parameter("instance_communication_network", Kind(), "The network between instances and their node; an empty text for none.", ""),
    Parameter("zeroing_image", Kind(), "The image that zeroes free space of disks. Cannot be cleared.", "", check=_image, warn=_image_url),
    Parameter(
        "compression_tools",
        Tools(),
        "Compression tools that exports and moves may use. V(gzip) always stays.",
        ["gzip", "gzip-fast", "gzip-slow"],
        transports=ON_MASTER,
    ),
    Parameter("enabled_data_collectors", Tree(), "Whether data collectors of the monitoring daemon run, by collector.", Each(True)),
    Parameter("data_collector_interval", Intervals(), "Seconds between two runs of data collectors, by collector.", Each(5)),
    Parameter("tags", NameSet(), "The cluster's tags, all of them.", [], via=TAGS, check=_tags),
    Parameter(
        "allow_cipher_bypassing",
        Flag(),
        "Whether moves within the cluster may choose weaker ciphers. Extended parameter, never over RAPI.",
        False,
        source=EXTENDED,
        via=FILE,
        transports=ON_MASTER,
    ),
    Parameter(
        "backend_storage",
        Kind(),
        "Where configuration and jobs are stored. Extended parameter; only accepts what is set, the module C(backend_storage) switches it.",
        "disk",
        source=EXTENDED,
        via=FILE,
        transports=ON_MASTER,
        check=_storage,
    ),
)

BY_NAME: t.Mapping[str, Parameter] = {row.name: row for row in TABLE}

#: What is read of the configuration file and of Ganeti's constants on the master.
CONFIG_KEYS = tuple(row.key or row.name for row in TABLE if row.source == CONFIG)
CONSTANT_NAMES = tuple(row.default.name for row in TABLE if isinstance(row.default, Constant))


def argument_spec() -> t.Dict[str, t.Any]:
    """The options of all parameters."""
    return {row.name: {**row.kind.argument, **({"no_log": row.secret} if row.secret else {})} for row in TABLE}


def given_in(params: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """The parameters that the user gave."""
    return {row.name: params[row.name] for row in TABLE if params.get(row.name) is not None}


def check_transport(given: t.Mapping[str, t.Any], transport: str) -> None:
    """Raise InvalidInput, before anything is sent, for parameters that the transport must not set or cannot read."""
    refused = [name for name in given if transport not in BY_NAME[name].transports]
    unset = [name for name in refused if BY_NAME[name].source == INFO]
    unknown = [name for name in refused if name not in unset]
    words = [f"{', '.join(names)} cannot be {what} over {transport.upper()}" for names, what in ((unset, "set"), (unknown, "set or read")) if names]
    if words:
        raise InvalidInput(f"{'; '.join(words)}: use transport ssh, or luxi on the master; nothing was sent", parameters=refused)


def values(state: State) -> t.Dict[str, t.Any]:
    """All parameters that the state holds, as the options take them; secrets masked."""
    known = {row.name: row.read(state) for row in TABLE if state.part(row.source) is not None}
    return {name: _masked(value) if BY_NAME[name].secret else value for name, value in known.items()}


def plan(given: t.Mapping[str, t.Any], state: State) -> t.List[Change]:
    """What has to change. Raises PreflightFailed, naming every problem there is."""
    changes: t.List[Change] = []
    problems: t.List[str] = []
    for name, value in given.items():
        row = BY_NAME[name]
        try:
            change = Change(row, row.read(state), row.want(value, state))
        except Problem as problem:
            problems.append(f"{name} {problem}.")
        else:
            if change.current != change.wanted:
                changes.append(change)
    if problems:
        raise PreflightFailed(problems)
    return changes


def modifications(changes: t.Sequence[Change]) -> t.List[t.Dict[str, t.Any]]:
    """The fields of OP_CLUSTER_SET_PARAMS, one dict an opcode: one, unless Ganeti needs two steps for some parameter."""
    stages: t.List[t.Dict[str, t.Any]] = []
    for change in changes:
        if change.row.via == MODIFY:
            steps = change.row.kind.send(change.current, change.wanted)
            stages = [{}] * (len(steps) - len(stages)) + stages
            # Steps that lead up come first; what needs one step only goes into the last.
            first = len(stages) - len(steps)
            stages = [
                {**stage, change.row.name: steps[index - first]} if index >= first else stage for index, stage in enumerate(stages)
            ]
    return stages


def track(changes: t.Sequence[Change]) -> Difference:
    """The changes for ``changed`` and ``diff``: of nested parameters only those that differ, of secrets only that they do."""
    difference = Difference()
    for change in changes:
        row = change.row
        if not isinstance(row.kind, Tree):
            difference.add(row.name, change.current, change.wanted)
            continue
        before, after = (dict(leaves(delta(*pair), row.name)) for pair in ((change.wanted, change.current), (change.current, change.wanted)))
        for path in {**before, **after}:
            old, new = before.get(path), after.get(path)
            difference.add(path, *((MASK, MASK + " (another)") if row.secret else (old, new)))
    return difference


def warnings(changes: t.Sequence[Change]) -> t.List[str]:
    """What the user should know of changes."""
    return [text for text in (change.row.warn(change.current, change.wanted) for change in changes) if text]


def _masked(value: t.Any) -> t.Any:
    return {key: _masked(item) for key, item in value.items()} if isinstance(value, t.Mapping) else MASK
