# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Bringing a compression tool on this node into the state that is declared, proved before it is put in place."""

from __future__ import annotations

import os
import tempfile
import typing as t

from .._difference import Difference
from .._errors import GanetiError, InvalidInput
from ..stream.tools import SEARCH_PATH
from . import contract, script

_MODE = 0o755
_LONGEST = 64 * 1024

Result = t.Dict[str, t.Any]


class Found(t.NamedTuple):
    """What is at a script's path: its text and mode, None where there is nothing."""

    text: t.Optional[str]
    mode: t.Optional[int]


def declare(params: t.Mapping[str, t.Any], check_mode: bool) -> Result:
    """Do what the module's parameters say; the module's result. Raises GanetiError where it cannot be."""
    name, directory = params["name"], os.path.normpath(params["directory"])
    script.check_name(name, custom=params["command"] is not None)
    if params["state"] == "absent":
        return _absent(os.path.join(directory, name), check_mode)
    if params["command"] is None:
        tool, change = _of_package(name)
    else:
        tool, change = _present(name, directory, script.render(name, params["command"], params["decompress_command"]), check_mode)
    result: Result = {"changed": change.changed, "diff": change.diff()}
    if params["measure"] and tool is not None:
        figures = contract.measure(tool, params["sample"], params["sample_mib"])
        result.update(ratio=figures.ratio, compress_mib_per_second=figures.compress, decompress_mib_per_second=figures.decompress)
    return result


def _of_package(name: str) -> t.Tuple[t.Optional[contract.Tool], Difference]:
    """A tool that needs no script, proved."""
    tool = contract.installed(name)
    contract.prove(tool)
    return tool, Difference()


def _present(name: str, directory: str, text: str, check_mode: bool) -> t.Tuple[t.Optional[contract.Tool], Difference]:
    """Put the script in place once it is proved; the tool that is there then, none if it would only be there without check mode."""
    path = os.path.join(directory, name)
    _check_place(name, directory)
    found = _look(path)
    _check_ours(path, found)
    descriptor, candidate = tempfile.mkstemp(prefix=f".{name}.", dir=None if check_mode else directory)
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            os.fchmod(descriptor, _MODE)
        contract.prove(contract.of_script(name, candidate))
        change = Difference()
        change.add("script", found.text, text)
        change.add("mode", None if found.mode is None else f"{found.mode:04o}", f"{_MODE:04o}")
        if change.changed and not check_mode:
            os.rename(candidate, path)
        return (None if change.changed and check_mode else contract.installed(name)), change
    finally:
        if os.path.exists(candidate):
            os.unlink(candidate)


def _absent(path: str, check_mode: bool) -> Result:
    found = _look(path)
    _check_ours(path, found)
    change = Difference()
    change.add("script", found.text, None)
    if found.text is not None and not check_mode:
        os.unlink(path)
    return {"changed": change.changed, "diff": change.diff()}


def _check_place(name: str, directory: str) -> None:
    """Raise InvalidInput unless the node daemon would find the script there, and nothing else before it."""
    places = SEARCH_PATH.split(":")
    if directory not in places:
        raise InvalidInput(f"Ganeti's node daemon does not look for tools in {directory}: use one of {', '.join(places)}.")
    for place in places[: places.index(directory)]:
        if os.path.exists(os.path.join(place, name)):
            raise InvalidInput(
                f"Ganeti's node daemon would find {place}/{name} before {directory}/{name}: leave command out to use that, or choose another name."
            )


def _check_ours(path: str, found: Found) -> None:
    if found.text is not None and script.MARK not in found.text.splitlines():
        raise GanetiError(f"{path} was not written by this module and is left alone: remove it, or choose another name for the tool.")


def _look(path: str) -> Found:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return Found(stream.read(_LONGEST), os.fstat(stream.fileno()).st_mode & 0o7777)
    except FileNotFoundError:
        return Found(None, None)
    except OSError as error:
        raise GanetiError(f"Cannot read {path}: {error.strerror}.") from error
