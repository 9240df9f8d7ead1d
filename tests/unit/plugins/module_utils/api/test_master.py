# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from collections.abc import Sequence

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed, GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.api.master import LocalRunner, read_configuration, runner, succeed


class Says:
    """A master whose commands all end in the same way."""

    def __init__(self, status: int, output: bytes, said: bytes = b"") -> None:
        self.answer = status, output, said

    def run(self, argv: Sequence[str], input: t.Optional[bytes] = None, timeout: float = 1) -> tuple[int, bytes, bytes]:
        return self.answer

    def close(self) -> None:
        pass


def test_words_reach_a_command_as_they_are() -> None:
    assert LocalRunner().run(["printf", "%s|", "a b", "$HOME;x"]) == (0, b"a b|$HOME;x|", b"")
    assert LocalRunner().run(["cat"], b"in") == (0, b"in", b"")


def test_a_command_that_is_not_there_or_does_not_end() -> None:
    with pytest.raises(ConnectionFailed, match="/no/such cannot be run on this host: No such file"):
        LocalRunner().run(["/no/such"])
    with pytest.raises(ConnectionFailed, match="did not end within 0 s"):
        LocalRunner().run(["sleep", "9"], timeout=0.1)


def test_a_command_that_fails_says_why() -> None:
    with pytest.raises(GanetiError, match=r"Writing failed on the master: cat: no space\.$"):
        succeed(Says(1, b"", b"warning\ncat: no space\n"), ["cat"], "Writing")
    with pytest.raises(GanetiError, match=r"Writing failed on the master: exit status 3\.$"):
        succeed(Says(3, b""), ["cat"], "Writing")


def test_the_configuration() -> None:
    assert read_configuration(Says(0, b'{"config": {"a": 1}, "constants": {}}'), ["a"], []) == ({"a": 1}, {})


@pytest.mark.parametrize(
    ("status", "output", "said", "words"),
    [
        (1, b"", b"Traceback\nPermissionError: [Errno 13]", "connect as root"),
        (1, b"", b"Traceback\nFileNotFoundError: config.data", "failed on the master: FileNotFoundError: config.data"),
        (0, b"Welcome!\n{}", b"", "login script"),
        (0, b"{}", b"", "login script"),
        (0, b"[]", b"", "login script"),
    ],
)
def test_a_configuration_that_cannot_be_read(status: int, output: bytes, said: bytes, words: str) -> None:
    with pytest.raises(GanetiError, match=words):
        read_configuration(Says(status, output, said), ["a"], [])


def test_rapi_runs_nothing_on_the_master() -> None:
    assert runner({"transport": "rapi"}) is None
    assert isinstance(runner({"transport": "luxi"}), LocalRunner)
