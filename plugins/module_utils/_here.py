# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which cluster this host belongs to, for modules that work on it without asking Ganeti."""

from __future__ import annotations

import typing as t

from ._errors import InvalidInput

FILE = "/var/lib/ganeti/ssconf_cluster_name"


def check_cluster(expected: t.Optional[str], file: str = FILE) -> None:
    """Raise InvalidInput where this host is not a node of the cluster that is *expected*, if one is."""
    if expected is None:
        return
    try:
        with open(file, encoding="utf-8") as stream:
            found = stream.read().strip()
    except FileNotFoundError:
        raise InvalidInput(f"This host is no node of {expected}: {file} is not there. Run the task on one, or correct cluster_name.") from None
    except OSError as error:
        raise InvalidInput(f"Which cluster this host belongs to cannot be read: {error}. Run the task as root, or leave cluster_name out.") from error
    if found != expected:
        raise InvalidInput(f"Wrong cluster: this host is a node of {found}, not of {expected}. Run the task on another, or correct cluster_name.")
