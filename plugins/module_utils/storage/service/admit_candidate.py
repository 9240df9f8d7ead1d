# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Telling a node of a new master candidate before the cluster can: its RPC certificate, and its key for SSH.

Runs on every node, as text that is given to python3 (program.py: script); nothing stays there. What it is given on standard input:
``directory``, ``lines`` (a line to add, by the name of the file in there) and ``keys`` (the same, by the file's path). It prints what it changed.
"""

from __future__ import annotations

import json
import os
import sys
import typing as t

from ..._files import replace


def add(path: str, line: str) -> bool:
    """Add a line to a file that has the line not; whether it had to. The file keeps mode and owner, and is replaced as a whole."""
    with open(path, encoding="utf-8") as stream:
        state, text = os.fstat(stream.fileno()), stream.read()
    if line in text.splitlines():
        return False
    text += ("" if not text or text.endswith("\n") else "\n") + line + "\n"
    replace(path, text.encode("utf-8"), state.st_mode & 0o7777, owner=(state.st_uid, state.st_gid))
    return True


def admit(given: t.Mapping[str, t.Any]) -> t.List[str]:
    """Add all lines; the files that were changed."""
    wanted = {os.path.join(given["directory"], name): line for name, line in given["lines"].items()}
    wanted.update(given["keys"])
    return [path for path, line in wanted.items() if add(path, line)]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(admit(json.load(sys.stdin))) + "\n")
