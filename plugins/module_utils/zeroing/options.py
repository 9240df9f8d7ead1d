# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a zeroing is asked for, checked."""

from __future__ import annotations

import re
import typing as t

from .._errors import InvalidInput
from ..api.cluster_parameters import connect_options
from .stage import Settings

_PATH = re.compile(r"/[-_.+A-Za-z0-9/]{1,200}\Z")
_NAME = re.compile(r"[a-z0-9_]([-_.a-z0-9]{0,253}[a-z0-9_])?\Z")


class Options(t.NamedTuple):
    """The module's options."""

    name: str
    shutdown: bool
    settings: Settings
    connection: t.Mapping[str, t.Any]
    lock_timeout: int
    job_timeout: int


def parse(params: t.Mapping[str, t.Any]) -> Options:
    """The options out of a module's parameters. Raises InvalidInput."""
    name = str(params["name"]).lower()
    if not _NAME.match(name):
        raise InvalidInput(f"name is {name!r}, which is not a host name: use letters, digits, dashes, underscores and dots, 255 of them at most.")
    if params["transport"] == "rapi":
        raise InvalidInput("The remote API cannot start an instance with parameters for this one start: use the transport ssh, or luxi on the master.")
    wrong = list(problems(params))
    if wrong:
        raise InvalidInput(" ".join(wrong))
    return Options(name, params["shutdown"], settings(params), connect_options(params), params["lock_timeout"], params["job_timeout"])


def problems(params: t.Mapping[str, t.Any], prefix: str = "") -> t.Iterator[str]:
    """What is wrong with the parameters that `settings` takes, a sentence each."""
    for option in (f"{prefix}kernel_path", f"{prefix}initrd_path"):
        if not _PATH.match(params[option]):
            yield f"{option} is {params[option]!r}: give the path of a file on the nodes, of letters, digits and -_.+/ alone."
    for option in ("zeroing_timeout_fixed", "zeroing_timeout_per_mib"):
        if not 0 <= params[option] < 1e6:
            yield f"{option} is {params[option]}: give seconds, zero or more."


def settings(params: t.Mapping[str, t.Any], prefix: str = "") -> Settings:
    """How to zero, out of a module's parameters; *prefix* is what those begin with that have another name elsewhere."""
    return Settings(
        kernel=params[f"{prefix}kernel_path"],
        initrd=params[f"{prefix}initrd_path"],
        method=params[f"{prefix}method"],
        fixed=params["zeroing_timeout_fixed"],
        per_mib=params["zeroing_timeout_per_mib"],
        shutdown_timeout=params["shutdown_timeout"],
    )
