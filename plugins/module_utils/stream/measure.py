# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How fast a node's compression tools are, by themselves and side by side as the lanes of a move run them."""

from __future__ import annotations

import os
import statistics
import subprocess
import threading
import time
import typing as t

from .errors import EndpointError
from .sample import MIB
from .tools import SEARCH_PATH, command

_SECONDS = 120.0
_SAID = 300


class Figures(t.NamedTuple):
    """What a tool made of a sample: how many times smaller, and MiB of the sample a second of wall-clock time, of all that ran together."""

    ratio: float
    compress: float
    decompress: float


def installed(name: str, sample: bytes, abreast: int = 1, turns: int = 1) -> Figures:
    """The figures of tool *name*, *abreast* of which run at the same time; medians of *turns*."""
    return measure(name, command(name, decompress=False), command(name, decompress=True), sample, abreast, turns)


def measure(name: str, compress: t.Sequence[str], decompress: t.Sequence[str], sample: bytes, abreast: int = 1, turns: int = 1) -> Figures:
    """The figures of the tool that two commands make; raise EndpointError where one fails."""
    packed = b""
    seconds: t.Tuple[t.List[float], t.List[float]] = [], []
    for _turn in range(turns):
        spent, packed = _run(name, compress, sample, abreast)
        seconds[0].append(spent)
        spent, again = _run(name, decompress, packed, abreast)
        seconds[1].append(spent)
        if again != sample:
            raise EndpointError(f"{name} does not give back the sample as it was: it cannot be used.")
    amount = abreast * len(sample) / MIB
    into, out = (amount / statistics.median(each) for each in seconds)
    return Figures(round(len(sample) / max(1, len(packed)), 3), round(into, 1), round(out, 1))


def _run(name: str, argv: t.Sequence[str], data: bytes, abreast: int) -> t.Tuple[float, bytes]:
    """Seconds until the last of *abreast* processes has read *data* and ended, and what one of them wrote; all from memory into memory."""
    source = _memory(data)
    targets = [_memory() for _each in range(abreast)]
    errors = _memory()
    processes: t.List[subprocess.Popen[bytes]] = []
    begun = time.monotonic()
    try:
        for target in targets:
            with open(f"/proc/self/fd/{source}", "rb") as stream:  # opened anew, so that each has a position of its own
                processes.append(
                    subprocess.Popen(  # pylint: disable=ansible-bad-function
                        argv, stdin=stream, stdout=target, stderr=errors, env={"PATH": SEARCH_PATH, "LC_ALL": "C"}
                    )
                )
        # Not wait() with a limit, which sleeps between looks and so rounds short times up.
        limit = threading.Timer(_SECONDS, _kill, [processes])
        limit.daemon = True
        limit.start()
        statuses = [process.wait() for process in processes]
        limit.cancel()
        spent = time.monotonic() - begun
        if spent >= _SECONDS:
            raise EndpointError(f"{name} took more than {_SECONDS:.0f} seconds for a sample of {len(data) // MIB} MiB: it cannot be used.")
        _check(name, statuses, errors)
        return spent, _content(targets[0])
    finally:
        _kill(processes)
        for process in processes:
            process.wait()
        for descriptor in (source, errors, *targets):
            os.close(descriptor)


def _kill(processes: t.Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.kill()


def _check(name: str, statuses: t.Sequence[int], errors: int) -> None:
    status = next((each for each in statuses if each), 0)
    if status:
        said = _content(errors)[-_SAID:].decode("utf-8", "replace").strip() or "it said nothing"
        raise EndpointError(f"{name} failed with status {status}: {said}")


def _memory(data: bytes = b"") -> int:
    descriptor = os.memfd_create("measure")
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view):]
    return descriptor


def _content(descriptor: int) -> bytes:
    with open(f"/proc/self/fd/{descriptor}", "rb") as stream:
        return stream.read()
