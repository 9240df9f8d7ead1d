# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Asking two sides at the same time: most of a move's preflight is waiting for answers that do not depend on each other."""

from __future__ import annotations

import queue
import threading
import typing as t

First = t.TypeVar("First")
Second = t.TypeVar("Second")


def abreast(first: t.Callable[[], First], second: t.Callable[[], Second]) -> t.Tuple[First, Second]:
    """What both return, run at the same time; raise what the one that is named first raises, once both have ended.

    Threads of our own rather than an executor's: an interruption leaves at once, and does not wait for answers.
    """
    ended: queue.SimpleQueue[t.Tuple[int, t.Any, t.Optional[BaseException]]] = queue.SimpleQueue()

    def run(number: int, call: t.Callable[[], t.Any]) -> None:
        try:
            ended.put((number, call(), None))
        except BaseException as error:  # raised where it is waited for
            ended.put((number, None, error))

    for number, call in enumerate((first, second)):
        threading.Thread(target=run, args=(number, call), daemon=True).start()
    outcomes = sorted((ended.get() for _call in range(2)), key=lambda each: each[0])
    for _number, _result, error in outcomes:
        if error is not None:
            raise error
    return outcomes[0][1], outcomes[1][1]
