# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is known before anything is decided."""

from __future__ import annotations

import typing as t

from ..api.instances import Instance

Op = t.Dict[str, t.Any]
Params = t.Mapping[str, t.Any]


class Facts(t.NamedTuple):
    """What is known: the instance, None where there is none, what the cluster says of itself, and the instance's own private OS parameters."""

    instance: t.Optional[Instance]
    info: t.Mapping[str, t.Any]
    private: t.Optional[t.Mapping[str, t.Any]] = None
    """None where nobody has asked for them, or could."""
    namesake: t.Optional[str] = None
    """The name of another instance, which has the name that this one is to get."""
    allowed: t.Optional[t.Sequence[str]] = None
    """The disk templates that the policy of its node group allows; None where nobody has asked."""
    jobs: t.Sequence[str] = ()
    """The jobs about it that have not ended, in words; asked for only where it has a tag that a run takes away at its end."""
