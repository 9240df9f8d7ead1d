# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Small programs on nodes: the text of one module of the standard library alone, sent to a Python that is there, with a request of one line of JSON."""

from __future__ import annotations

import json
import typing as t


class Process(t.Protocol):
    """A program that runs on a node; an `api.ssh.SshProcess` is one."""

    @property
    def stdin(self) -> t.Any: ...

    @property
    def stderr(self) -> bytes: ...

    def __iter__(self) -> t.Iterator[bytes]: ...

    def kill(self) -> None: ...


Start = t.Callable[[t.Sequence[str]], Process]
"""Starts a program on a node."""


def argv(name: str) -> t.Tuple[str, ...]:
    """What is started: a Python that reads the program up to a zero byte, and runs it. Among the node's processes it is told from others by *name*."""
    boot = "import os\ntext = b''\nwhile text[-1:] != b'\\0': text += os.read(0, 1) or os._exit(2)\n"
    return "python3", "-I", "-c", f"{boot}exec(compile(text[:-1], '{name}', 'exec'))"


def packed(text: bytes, request: t.Mapping[str, t.Any]) -> bytes:
    """What that Python is to read: the program's text and the request."""
    return text + b"\0" + json.dumps(request).encode("ascii") + b"\n"
