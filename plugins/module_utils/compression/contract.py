# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Proving that a tool keeps Ganeti's contract, with data that is hard for it, and measuring it with data that is real."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
import typing as t

from .._errors import GanetiError
from ..stream.errors import EndpointError
from ..stream.tools import SEARCH_PATH, command

_MIB = 1024 * 1024
_SECONDS = 120.0
_HELP_SECONDS = 5.0
_REPEATS = 3


class Tool(t.NamedTuple):
    """A tool's name and how it is run: to say that it is there, to compress, to decompress."""

    name: str
    help: t.List[str]
    compress: t.List[str]
    decompress: t.List[str]


class Figures(t.NamedTuple):
    """What a tool made of a sample: how many times smaller, and MiB of the sample a second, of wall-clock time."""

    ratio: float
    compress: float
    decompress: float


def installed(name: str) -> Tool:
    """The tool *name* as Ganeti's node daemon finds it; raise GanetiError where it does not."""
    try:
        compress, decompress = command(name, decompress=False), command(name, decompress=True)
    except EndpointError as error:
        raise GanetiError(str(error)) from error
    return Tool(name, [compress[0], "-h"], compress, decompress)


def of_script(name: str, path: str) -> Tool:
    """The tool that the script at *path* would be; it need not be executable yet."""
    return Tool(name, ["/bin/sh", path, "-h"], ["/bin/sh", path], ["/bin/sh", path, "-d"])


def prove(tool: Tool) -> None:
    """Raise GanetiError unless the tool keeps the contract."""
    try:
        status, _output, _error = _run(tool.help, b"", _HELP_SECONDS)
    except subprocess.TimeoutExpired:
        status = -1
    if status:
        raise GanetiError(f"{tool.name} does not answer -h with success within {_HELP_SECONDS:.0f} seconds: is {tool.compress[-1]} installed here?")
    noise = os.urandom(_MIB + 17)
    for what, data in (("an empty input", b""), ("zeros", bytes(_MIB)), ("random bytes", noise)):
        if _good(tool, tool.decompress, _good(tool, tool.compress, data)) != data:
            raise GanetiError(f"{tool.name} does not give back {what} as it was: it cannot be used.")
    packed = _good(tool, tool.compress, noise)
    if not _run(tool.decompress, packed[: len(packed) // 2], _SECONDS)[0]:
        raise GanetiError(f"{tool.name} does not notice that its input was cut off: it would lose data without a word and cannot be used.")


def measure(tool: Tool, sample: bytes) -> Figures:
    """Compress and decompress *sample* a few times; medians."""
    packed = b""
    seconds: t.Tuple[t.List[float], t.List[float]] = [], []
    for _turn in range(_REPEATS):
        begun = time.monotonic()
        packed = _good(tool, tool.compress, sample)
        middle = time.monotonic()
        _good(tool, tool.decompress, packed)
        seconds[0].append(middle - begun)
        seconds[1].append(time.monotonic() - middle)
    mebibytes = len(sample) / _MIB
    compress, decompress = (mebibytes / statistics.median(each) for each in seconds)
    return Figures(round(len(sample) / max(1, len(packed)), 2), round(compress, 1), round(decompress, 1))


def read_sample(path: str, mebibytes: int) -> bytes:
    """Up to *mebibytes* MiB of a file or device, spread over its length, or of the files below a directory, without zeros."""
    pieces = _of_files(path) if os.path.isdir(path) else _spread(path, mebibytes)
    result = bytearray()
    for piece in pieces:
        if piece.count(0) < len(piece):
            result += piece
        if len(result) >= mebibytes * _MIB:
            break
    if not result:
        raise GanetiError(f"There is nothing but zeros in {path}: name another sample.")
    return bytes(result[: mebibytes * _MIB])


def _of_files(directory: str) -> t.Iterator[bytes]:
    for folder, folders, names in os.walk(directory):
        folders.sort()
        for path in sorted(os.path.join(folder, name) for name in names):
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as stream:
                    yield stream.read(_MIB)


def _spread(path: str, mebibytes: int) -> t.Iterator[bytes]:
    """Pieces of a MiB, eight times as many as are wanted as some may be zeros, in an order that visits all parts early."""
    try:
        with open(path, "rb") as stream:
            count = max(1, stream.seek(0, os.SEEK_END) // _MIB)
            step = max(1, count // (8 * mebibytes))
            for first in range(8):
                for index in range(first * step, count, 8 * step):
                    stream.seek(index * _MIB)
                    yield stream.read(_MIB)
    except OSError as error:
        raise GanetiError(f"Cannot read the sample {path}: {error.strerror}.") from error


def _good(tool: Tool, argv: t.List[str], data: bytes) -> bytes:
    try:
        status, output, error = _run(argv, data, _SECONDS)
    except subprocess.TimeoutExpired as late:
        raise GanetiError(f"{tool.name} took more than {_SECONDS:.0f} seconds: it cannot be used.") from late
    if status:
        said = error.decode("utf-8", "replace").strip()[-300:] or "it said nothing"
        raise GanetiError(f"{tool.name} failed with status {status}: {said}")
    return output


def _run(argv: t.List[str], data: bytes, seconds: float) -> t.Tuple[int, bytes, bytes]:
    # Bytes in and out and a limit of time, which AnsibleModule's run_command does not have.
    done = subprocess.run(  # pylint: disable=ansible-bad-function
        argv, input=data, capture_output=True, env={"PATH": SEARCH_PATH, "LC_ALL": "C"}, timeout=seconds, check=False
    )
    return done.returncode, done.stdout, done.stderr
