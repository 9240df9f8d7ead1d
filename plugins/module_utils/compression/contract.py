# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Proving that a tool keeps Ganeti's contract, with data that is hard for it, and measuring it with data that is real."""

from __future__ import annotations

import os
import subprocess
import typing as t

from .._errors import GanetiError
from ..stream.errors import EndpointError
from ..stream.sample import read_sample
from ..stream.tool_speed import Figures, measure_commands
from ..stream.tools import SEARCH_PATH, command

_MIB = 1024 * 1024
_SECONDS = 120.0
_HELP_SECONDS = 5.0
_TURNS = 3


class Tool(t.NamedTuple):
    """A tool's name and how it is run: to say that it is there, to compress, to decompress."""

    name: str
    help: t.List[str]
    compress: t.List[str]
    decompress: t.List[str]


def find(name: str) -> Tool:
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


def measure(tool: Tool, sample: str, mebibytes: int) -> Figures:
    """The figures of one process at a time, of up to *mebibytes* MiB of what is at *sample*."""
    try:
        data = read_sample(sample, mebibytes)
        if not data:
            raise GanetiError(f"There is nothing but zeros in {sample}: name another sample.")
        return measure_commands(tool.name, tool.compress, tool.decompress, data, turns=_TURNS)
    except EndpointError as error:
        raise GanetiError(str(error)) from error


def _good(tool: Tool, argv: t.List[str], data: bytes) -> bytes:
    try:
        status, output, error = _run(argv, data, _SECONDS)
    except subprocess.TimeoutExpired as late:
        raise GanetiError(f"{tool.name} took more than {_SECONDS:.0f} seconds: it cannot be used.") from late
    if status:
        said = error.decode("utf-8", "replace").strip()[-300:].rstrip(".") or "it said nothing"
        raise GanetiError(f"{tool.name} failed with status {status}: {said}.")
    return output


def _run(argv: t.List[str], data: bytes, seconds: float) -> t.Tuple[int, bytes, bytes]:
    # Bytes in and out and a limit of time, which AnsibleModule's run_command does not have.
    done = subprocess.run(  # pylint: disable=ansible-bad-function
        argv, input=data, capture_output=True, env={"PATH": SEARCH_PATH, "LC_ALL": "C"}, timeout=seconds, check=False
    )
    return done.returncode, done.stdout, done.stderr
