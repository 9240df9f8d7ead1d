# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The one exception of the node-side endpoint."""

from __future__ import annotations

import typing as t


class EndpointError(Exception):
    """What happened at this endpoint, in a sentence for the user.

    ``secondary`` is true when the failure is most likely the echo of one at
    the other end (a connection that broke); the controller then prefers the
    other end's sentence. ``clock`` is this node's time in seconds since 1970
    where that is the cause.
    """

    def __init__(self, message: str, secondary: bool = False, clock: t.Optional[float] = None) -> None:
        super().__init__(message)
        self.secondary = secondary
        self.clock = clock
