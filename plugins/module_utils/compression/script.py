# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The script that makes a command with options a compression tool by Ganeti's contract."""

from __future__ import annotations

import re
import shlex
import typing as t

from .._errors import InvalidInput
from ..stream.tools import NO_TOOL, SEARCH_PATH, is_known, is_valid_name
from .choose import AUTO

MARK = "# Written by ganeti.cluster.compression_tool, which overwrites changes."
"""By this line a script is known to be ours."""

_RESERVED = {NO_TOOL: "no compression", AUTO: "the tool that is found best"}
_PROGRAM = re.compile(r"/?[_a-zA-Z0-9][-._+a-zA-Z0-9/]*\Z")

COMPRESSORS = frozenset(("bzip2", "gzip", "lbzip2", "lz4", "lzip", "lzma", "lzop", "pbzip2", "pigz", "plzip", "xz", "zstd", "zstdmt"))
"""Programs that do nothing but compress, so that they may be run to see whether they keep the contract."""

_HARMLESS = re.compile(r"-(?:[0-9]{1,2}|[cdfkqz]|[Tp][0-9]{1,3}|-(?:fast|best|stdout|long|ultra|adapt|rsyncable|threads)(?:=[0-9]{1,3})?)\Z")

_SCRIPT = """\
#!/bin/sh
{mark}
# Compresses standard input to standard output; with -d decompresses; with -h tells by its status whether it can.
set -eu
PATH={path}
case "${{1:-}}" in
  "") exec {compress} ;;
  -d) exec {decompress} ;;
  -h) command -v {program} >/dev/null ;;
  *)
    echo "usage: {name} [-d | -h]" >&2
    exit 2
    ;;
esac
"""


def split(option: str, command: str) -> t.List[str]:
    """The words of a command that a user gives, split as a shell would; raise InvalidInput for what no command is."""
    try:
        result = shlex.split(command)
    except ValueError as error:
        raise InvalidInput(f"{option} is {command!r}, whose quotes do not match ({error}).") from error
    if not result or not _PROGRAM.match(result[0]):
        raise InvalidInput(f"{option} is {command!r}, which does not begin with the name or path of a program.")
    if any(not word.isprintable() for word in result):
        raise InvalidInput(f"{option} holds characters that cannot be printed: write a plain command.")
    return result


def check_name(name: str, custom: bool) -> None:
    """Raise InvalidInput unless *name* can name a tool, a *custom* one if it is to have a command of its own."""
    if not is_valid_name(name):
        raise InvalidInput(f"{name!r} cannot name a compression tool: use letters, digits, dashes and underscores, no dash in front.")
    if name in _RESERVED:
        raise InvalidInput(f"{name} is the word for {_RESERVED[name]} and cannot name a tool: choose another name.")
    if custom and is_known(name):
        raise InvalidInput(f"Ganeti has a command of its own for {name}: leave command out, or choose another name for the tool.")


def is_compressor(name: str) -> bool:
    """Whether what the node daemon runs for *name* is known to be a compressor and nothing else."""
    return name in COMPRESSORS or is_known(name)


def is_harmless(argv: t.Sequence[str]) -> bool:
    """Whether a command is known to do nothing but turn its input into its output: a compressor with levels and threads, without files."""
    directory, _slash, program = argv[0].rpartition("/")
    found = program in COMPRESSORS and (not directory or directory in SEARCH_PATH.split(":"))
    return found and all(map(_HARMLESS.match, argv[1:]))


def render(name: str, command: str, decompress_command: t.Optional[str]) -> str:
    """The text of the script that is the tool *name*.

    Each word is quoted, so nothing of it means anything to the shell. Without a command to decompress, the same program
    with ``-d`` alone does it.
    """
    check_name(name, custom=True)
    compress = split("command", command)
    decompress = split("decompress_command", decompress_command) if decompress_command else [compress[0], "-d"]
    for argv in (compress, decompress):
        if argv[0] == name:
            raise InvalidInput(f"The script {name} would run itself: give the program's path, or choose another name for the tool.")
    return _SCRIPT.format(
        mark=MARK, path=SEARCH_PATH, name=name, compress=shlex.join(compress), decompress=shlex.join(decompress), program=shlex.quote(compress[0])
    )
