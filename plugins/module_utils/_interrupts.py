# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Signals as exceptions, once, and only where work can be ended in order."""

from __future__ import annotations

import contextlib
import signal
import types
import typing as t

from ._errors import GanetiError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Takes the signals that want an end, for as long as it is entered.

    The first one raises what *interrupted* makes of its name, inside of the next `allowed`, or at once where one is entered. Others are ignored.
    """

    def __init__(self, interrupted: t.Callable[[str], GanetiError]) -> None:
        self._interrupted = interrupted
        self._hearing = False
        self._came: t.Optional[str] = None
        self._raised = False
        self._before: t.Dict[signal.Signals, t.Any] = {}

    def __enter__(self) -> Interrupts:
        self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def allowed(self) -> t.Iterator[None]:
        """Within this, a signal that came, or comes, raises."""
        self._hearing = True
        try:
            self._raise()
            yield
        finally:
            self._hearing = False

    def _note(self, number: int, _frame: t.Optional[types.FrameType]) -> None:
        if self._came is None:
            self._came = signal.Signals(number).name
        if self._hearing:
            self._raise()

    def _raise(self) -> None:
        if self._came is not None and not self._raised:
            self._raised = True
            raise self._interrupted(self._came)
