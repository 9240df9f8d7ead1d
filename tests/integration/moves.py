# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Moves as a user runs them: the module on the controller, through Ansible where what it shows, or how it dies, is of interest."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from . import programs
from .lab import ANSIBLE, LONGEST, Lab, Result, parsed

MODULE = "instance_move"


class Way(t.NamedTuple):
    """The nodes, by their short names, that a test's moves go from and to; the node within is another one of the source's cluster."""

    source: str
    destination: str
    within: str

    @property
    def node(self) -> Result:
        """The destination's node as the module takes it."""
        return {"primary_node": f"{self.destination}.lab.example"}


class Move:
    """A move that runs. By itself it ends with a result; *shown*, through Ansible, it also has lines; by *command* that is started as a user does."""

    def __init__(self, lab: Lab, journal: Path, arguments: Result, *, check_mode: bool = False, shown: bool = False, command: bool = False) -> None:
        self.lines: t.List[str] = []
        self.arguments = {"source": lab.side("alpha"), "destination": lab.side("beta"), "journal_directory": str(journal), **arguments}
        self._through_ansible = shown or command or check_mode
        if self._through_ansible:
            argv = ["localhost", "-m", f"ganeti.cluster.{MODULE}", "-a", json.dumps(self.arguments)]
            argv += ["--check", "--diff"] if check_mode else []
            self.process = programs.command(ANSIBLE, *argv) if command else programs.ansible(*argv)
        else:
            self.process = programs.module(MODULE, self.arguments)

    def wait_for(self, words: str, times: int = 1) -> None:
        """Read what is shown until *times* lines have held *words*."""
        assert self._through_ansible, "only what Ansible runs shows anything"
        for line in self.process.stdout:
            self.lines.append(line)
            times -= words in line
            if not times:
                return
        raise AssertionError(f"{words!r} was never shown: {''.join(self.lines)}")

    def result(self) -> Result:
        """Wait for the end; return the module's result."""
        if not self._through_ansible:
            return programs.result_of(self.process, LONGEST)
        self.lines += programs.output_of(self.process, LONGEST).splitlines(keepends=True)
        return parsed("localhost", "".join(self.lines))

    def kill(self) -> None:
        """End it as a power failure would: Ansible, its workers, the module."""
        programs.kill(self.process)
