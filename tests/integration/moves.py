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
        self.ran: t.Dict[str, str] = {}
        """What it ran on, once it has succeeded."""
        self._lab = lab
        self.arguments = {"source": lab.side("alpha"), "destination": lab.side("beta"), "journal_directory": str(journal), **arguments}
        self._source = self._described(self.arguments["source"], str(self.arguments["name"]))
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
        if self._through_ansible:
            self.lines += programs.output_of(self.process, LONGEST).splitlines(keepends=True)
            result = parsed("localhost", "".join(self.lines))
        else:
            result = programs.result_of(self.process, LONGEST)
        if self._source and result.get("disks") and not result["failed"]:
            self.ran = self._what_it_ran_on()
        return result

    def _what_it_ran_on(self) -> t.Dict[str, str]:
        there = self.arguments["destination"] or self.arguments["source"]
        name = str(self.arguments.get("destination_name") or self.arguments["name"])
        made = self._described(there, name)
        return {**dict(zip(("source", "from", "hypervisor", "state"), self._source)), **dict(zip(("destination", "to"), made))}

    def _described(self, side: Result, name: str) -> t.List[str]:
        """A cluster's release, and an instance's disk template, hypervisor and state there; nothing where there is none."""
        clusters = self._lab.description["clusters"]
        where = [key for key, each in clusters.items() if side["address"] in (each["master"], each["address"])]
        found = self._lab.fields(where[0], name, "disk_template", "hypervisor", "oper_state") if where else None
        if not found:
            return []
        return [self._lab.release(where[0]), found[0], found[1], "running" if found[2] == "True" else "stopped"]

    def kill(self) -> None:
        """End it as a power failure would: Ansible, its workers, the module."""
        programs.kill(self.process)
