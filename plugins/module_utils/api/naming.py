# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Names as Ganeti takes them: which are names at all, and which instance or node a short one means.

Ganeti expands the first labels of a name in its queries, and takes a name as it stands where it makes an instance. So a short
name must become the one that the cluster itself has before anything else is done with it.
"""

from __future__ import annotations

import re
import typing as t

from .._errors import InvalidInput

_NAME = re.compile(r"[a-z0-9._-]{1,255}\Z")
"""Ganeti: netutils.Hostname, _VALID_NAME_RE and GetNormalizedName."""

RELATED = re.compile(r"\.[0-9a-f]{16}\.(?:twin|old)\Z")
"""How the name of an instance ends that takes, or took, part in a move within its cluster under the name before it."""

LONGEST = 255
"""Characters that a name may have."""


def normal(name: str) -> str:
    """*name* as Ganeti writes it: in lower case, without a dot at the end."""
    return name.lower().rstrip(".")


def problem(option: str, name: str) -> t.Optional[str]:
    """Why Ganeti would not take the normal *name*, if it would not."""
    if _NAME.match(name) and ".." not in name and not name.startswith("."):
        return None
    return f"{option} is {name!r}, which is not a host name: use letters, digits, dashes, underscores and dots, {LONGEST} of them at most."


def expand(name: str, existing: t.Iterable[str], what: str = "instance") -> t.Optional[str]:
    """The one of the *existing* names that *name* means: itself, or the only one whose first labels it is; None where there is none.

    An instance that was renamed by a move within its cluster counts under the name that it had. Raises InvalidInput where *name*
    could mean several.
    """
    full = set(existing)
    found = {RELATED.sub("", each) for each in full}
    if name in full | found:
        return name
    longer = sorted(each for each in found if each.startswith(f"{name}."))
    if len(longer) > 1:
        raise InvalidInput(f"The {what} {name} could be {' or '.join(longer)}: give its name in full.")
    return longer[0] if longer else None
