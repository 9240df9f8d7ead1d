# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Signals as exceptions, once; and none while a move is undone."""

from __future__ import annotations

import contextlib
import signal
import types
import typing as t

from .._errors import MoveInterrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def as_exception() -> t.Iterator[None]:
    """Within this, the first signal that wants an end raises MoveInterrupted; later ones are ignored."""

    def stop(number: int, _frame: t.Optional[types.FrameType]) -> None:
        ignore()
        raise MoveInterrupted(f"The move was interrupted ({signal.Signals(number).name}).")

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore() -> None:
    """From now on let nothing stop what has to come to its end."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
