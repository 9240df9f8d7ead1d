# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Bringing a compression tool on this node into the state that is declared, proved before it is put in place."""

from __future__ import annotations

import os
import shutil
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

    @property
    def ours(self) -> bool:
        """Whether this module has written it."""
        return self.text is not None and script.MARK in self.text.splitlines()


def declare(params: t.Mapping[str, t.Any], check_mode: bool) -> Result:
    """Do what the module's parameters say; the module's result. Raises GanetiError where it cannot be."""
    name, directory = params["name"], os.path.normpath(params["directory"])
    script.check_name(name, custom=params["command"] is not None)
    if params["state"] == "absent":
        return _absent(os.path.join(directory, name), check_mode)
    if _is_program(name, params["command"], params["decompress_command"]):
        tool, change = _of_program(name, params["command"] is not None, check_mode)
    else:
        tool, change = _present(params, directory, check_mode)
    result: Result = {"changed": change.changed, "diff": change.diff()}
    if params["measure"] and tool is not None:
        figures = contract.measure(tool, params["sample"], params["sample_mib"])
        result.update(ratio=figures.ratio, compress_mib_per_second=figures.compress, decompress_mib_per_second=figures.decompress)
    return result


def _is_program(name: str, command: t.Optional[str], decompress_command: t.Optional[str]) -> bool:
    """Whether the tool is the program *name* itself: nothing else is said, or its own path is said to be the command."""
    if command is None:
        return True
    program = shutil.which(name, path=SEARCH_PATH)
    return decompress_command is None and program is not None and script.split("command", command) == [program] and not _look(program).ours


def _of_program(name: str, confirmed: bool, check_mode: bool) -> t.Tuple[t.Optional[contract.Tool], Difference]:
    """A tool that needs no script, proved; raise InvalidInput for one that may be anything, unless the user has *confirmed* what it is."""
    tool = contract.find(name)
    path = tool.compress[0]
    if not script.is_compressor(name) and not _look(path).ours:
        if not confirmed:
            raise InvalidInput(
                f"{name} is {path} here, which is not known to be a compression tool, so it is not run to find out: "
                f"if it keeps the contract, set command to {path}."
            )
        if check_mode:
            return None, Difference()
    contract.prove(tool)
    return tool, Difference()


def _present(params: t.Mapping[str, t.Any], directory: str, check_mode: bool) -> t.Tuple[t.Optional[contract.Tool], Difference]:
    """Put the script in place once it is proved; the tool that is there then, none if check mode leaves it unproved or out of place."""
    name = params["name"]
    text = script.render(name, params["command"], params["decompress_command"])
    path = os.path.join(directory, name)
    _check_place(name, directory)
    _check_self(path, params)
    found = _look(path)
    _check_ours(path, found)
    change = Difference()
    change.add("script", found.text, text)
    change.add("mode", None if found.mode is None else f"{found.mode:04o}", f"{_MODE:04o}")
    if check_mode and not _is_harmless(params):
        return None, change
    descriptor, candidate = tempfile.mkstemp(prefix=f".{name}.", dir=None if check_mode else directory)
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            os.fchmod(descriptor, _MODE)
        contract.prove(contract.of_script(name, candidate))
        if change.changed and not check_mode:
            os.rename(candidate, path)
        return (None if change.changed and check_mode else contract.find(name)), change
    finally:
        if os.path.exists(candidate):
            os.unlink(candidate)


def _is_harmless(params: t.Mapping[str, t.Any]) -> bool:
    """Whether the declared commands may be run in check mode."""
    return all(map(script.is_harmless, _commands(params)))


def _commands(params: t.Mapping[str, t.Any]) -> t.List[t.List[str]]:
    return [script.split(option, params[option]) for option in ("command", "decompress_command") if params[option]]


def _check_self(path: str, params: t.Mapping[str, t.Any]) -> None:
    """Raise InvalidInput where the script would run itself."""
    if any(os.path.realpath(argv[0]) == os.path.realpath(path) for argv in _commands(params) if argv[0].startswith("/")):
        raise InvalidInput(f"The script {path} would run itself: give another program's path, or choose another name for the tool.")


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
    if found.text is not None and not found.ours:
        raise GanetiError(f"{path} was not written by this module and is left alone: remove it, or choose another name for the tool.")


def _look(path: str) -> Found:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return Found(stream.read(_LONGEST), os.fstat(stream.fileno()).st_mode & 0o7777)
    except FileNotFoundError:
        return Found(None, None)
    except OSError as error:
        raise GanetiError(f"Cannot read {path}: {error.strerror}.") from error
