# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Zeroing an instance that is stopped: count, start the helper once, follow it to its end, count again.

What this needs of whoever calls it is a `Stage`: jobs, and programs on the primary node. It begins with an instance that Ganeti wants to be down, and
ends with one, whatever happens in between, as far as jobs can be run. So a move can call it between its shutdown and its copy.
"""

from __future__ import annotations

import time
import typing as t

from .._errors import ConnectionFailed, GanetiError
from .._node_program import Start
from ..api.opcodes import opcode
from ..guest import once
from ..guest.follow import ABSENT, ANOTHER, ATTENDING, Following
from ..guest.on_node import Conversation
from . import count, verdict
from .messages import Account, Message, parse
from .tags import Before
from .verdict import Count, Verdict

Opcode = t.Mapping[str, t.Any]

_MIB = 1024 * 1024
_STALL = 120.0
"""Seconds in which a node that counts has to go on."""
GRACE = 60
"""Seconds that a helper has to remove what it has written, when Ganeti presses its power button."""
_TRIES = 3
"""How often a helper is attended anew, where the connection to its node breaks."""
_MOST_LAST = 5
"""Lines of the console that are told where a helper ended without a word."""


class Target(t.NamedTuple):
    """The instance: what its cluster calls it, where it is, and what its parameters are."""

    name: str
    uuid: str
    node: str
    sizes: t.Tuple[int, ...]
    """Of its disks, in MiB."""
    beparams: t.Mapping[str, t.Any]


class Settings(t.NamedTuple):
    """How to zero."""

    kernel: str
    initrd: str
    method: str = verdict.AUTO
    fixed: float = verdict.FIXED
    per_mib: float = verdict.PER_MIB
    shutdown_timeout: int = 120


class Stage(t.Protocol):
    """What a zeroing happens on."""

    @property
    def start(self) -> Start:
        """Starts programs on the instance's primary node."""

    def job(self, opcodes: t.Sequence[Opcode], label: str) -> t.List[t.Any]:
        """Run a job to its end, if nobody else may do so instead; its opcodes' results."""

    def taking(self, counted: Before) -> t.List[Opcode]:
        """What the job that starts the helper begins with: it fails where this was done before. May be nothing."""

    def heed(self) -> None:
        """Note whether somebody has started the instance while the helper ran, which marks it as to be up and does no more; a stop takes that mark away."""

    def tell(self, phase: str, percent: t.Optional[int] = None) -> None:
        """Show somebody how far it is."""


class Report(t.NamedTuple):
    """What came of it."""

    method: str
    verdict: Verdict
    account: Account
    words: str


class HelperFailed(GanetiError):
    """The helper did not come to its end; the instance is stopped."""


class Zeroing:
    """One instance's zeroing by the identifier that the helper's messages carry."""

    def __init__(self, stage: Stage, target: Target, settings: Settings, identifier: str) -> None:
        self._stage = stage
        self._target = target
        self._settings = settings
        self._identifier = identifier

    def run(self, noted: t.Optional[Before] = None) -> t.Optional[Report]:
        """All of it, with the instance stopped; None where its disks take nothing.

        *noted* is what a run that died had counted before it started a helper, of which nobody has heard. What that one has freed counts, too.
        """
        counts = self._count(self._stop(), read=False)
        if verdict.is_empty(counts):
            return None
        return self._again_if_ignored(self._round(verdict.first_method(self._settings.method, counts), counts, noted))

    def resume(self, before: Before) -> t.Optional[Report]:
        """The rest of it, where the helper was started by somebody else and may still run. Where nothing tells what it has done, all of it."""
        account = self._follow()
        report = self._judge(before, account)
        if account is None and report.verdict.freed <= 0:
            return self.run(before)
        return self._again_if_ignored(report)

    def _again_if_ignored(self, report: Report) -> Report:
        """Write zeros where discards were ignored."""
        said = sum(each.bytes for each in report.account.places)
        size = sum(self._target.sizes) * _MIB
        refused = any(each.why == verdict.REFUSED for each in report.account.places)
        if not verdict.is_ignored(self._settings.method, report.method, said, size, report.verdict, refused):
            return report
        return self._round(verdict.WRITE, self._count(self._stop(), read=False))

    def _round(self, method: str, counts: t.List[Count], noted: t.Optional[Before] = None) -> Report:
        """Start the helper once, and see what came of it."""
        measure = verdict.measure(method, counts)
        if measure == verdict.DATA:
            counts = self._count(self._stop(), read=True)
        before = Before(method, measure, verdict.total(counts, measure))
        if noted is not None and noted[:2] == before[:2]:
            before = before._replace(total=max(before.total, noted.total))
        words = (f"zeroing.id={self._identifier}", f"zeroing.mode={method}", "quiet", "loglevel=1", "panic=1")
        system = once.System(self._settings.kernel, self._settings.initrd, words)
        start = once.start(self._target.name, self._target.uuid, self._target.beparams, once.parameters(system, method == verdict.DISCARD))
        self._stage.tell("start the helper")
        self._stage.job([*self._stage.taking(before), start], f"start the zeroing helper on {self._target.name}")
        account = self._follow()
        report = self._judge(before, account)
        if account is None and report.verdict.freed <= 0:
            raise HelperFailed(f"Nothing was heard of the zeroing helper, and nothing was freed. Does somebody hold the console of {self._target.name}?")
        return report

    def _judge(self, before: Before, account: t.Optional[Account]) -> Report:
        """Compare what the node counts now with what it counted before. Without an *account*, nothing was heard of the helper."""
        counts = self._count(self._stop(), read=before.measure == verdict.DATA)
        found = Verdict(before.measure, before.total, verdict.total(counts, before.measure))
        if account is not None and account.ended == "interrupted":
            raise HelperFailed(f"The zeroing helper was shut down before it had finished; {_so_far(found)}", freed=found.freed)
        heard = account if account is not None else Account()
        return Report(before.method, found, heard, verdict.in_words(found, before.method, heard.ended))

    def _stop(self) -> t.List[str]:
        """Make sure that nothing runs, and that there are devices; the disks' paths. Harmless where that is so.

        What somebody has started is not stopped.
        """
        if is_attended(self._stage.start, self._target.name, self._identifier) == ANOTHER:
            raise GanetiError(self._another())
        self._stage.heed()
        shutdown = opcode("OP_INSTANCE_SHUTDOWN", instance_name=self._target.name, instance_uuid=self._target.uuid, timeout=GRACE)
        activate = opcode("OP_INSTANCE_ACTIVATE_DISKS", instance_name=self._target.name, instance_uuid=self._target.uuid)
        disks = self._stage.job([shutdown, activate], f"make the disks of {self._target.name} readable")[-1]
        paths = [path for _node, _name, path in disks]
        if len(paths) != len(self._target.sizes) or not all(isinstance(path, str) and path.startswith("/") for path in paths):
            raise GanetiError(f"The disks of {self._target.name} are no files or devices of {self._target.node}, so what they take cannot be counted there.")
        return paths

    # -- The helper --

    def _follow(self) -> t.Optional[Account]:
        """Follow the helper to its end; None where nothing could be heard of it. Raises HelperFailed where it does not come to its end in order."""
        limit = verdict.time_limit(self._target.sizes, self._settings.fixed, self._settings.per_mib)
        deadline = time.monotonic() + limit
        heard = _Heard(self._identifier, self._show)
        tries = _TRIES
        while True:
            try:
                return self._hear(heard, deadline)
            except TimeoutError:
                self._stage.tell("stop the helper")
                self._stop()
                raise HelperFailed(
                    f"The zeroing helper did not end within {limit:.0f} s (zeroing_timeout_fixed, zeroing_timeout_per_mib) and was stopped."
                ) from None
            except ConnectionFailed:
                tries -= 1
                if not tries:
                    raise

    def _hear(self, heard: _Heard, deadline: float) -> t.Optional[Account]:
        """Attend the helper; what it says is added to what was heard before the connection broke."""
        following = Following(self._stage.start, self._target.name, f"zeroing.id={self._identifier}")
        try:
            if following.found == ANOTHER:
                raise GanetiError(self._another())
            for line in following.lines(deadline):
                heard.add(line)
        finally:
            following.close()
        if heard.account.ended:
            return heard.account
        if following.found == ABSENT or following.unheard:
            return None
        raise HelperFailed(f"The zeroing helper ended without having finished. Its last words: {_quoted(heard.last)}")

    def _another(self) -> str:
        return f"Another system than the zeroing helper runs as {self._target.name}: somebody has started it. It was left alone."

    def _show(self, message: Message) -> None:
        if message.event == "progress":
            self._stage.tell(f"zero {message.where}", message.percent)
        elif message.event == "left":
            self._stage.tell(f"left {message.where} untouched: {message.why}")

    # -- The node --

    def _count(self, paths: t.Sequence[str], read: bool) -> t.List[Count]:
        """What the node counts; where it *reads*, that takes as long as it takes, as long as it goes on."""
        self._stage.tell("count what the disks take")
        conversation = Conversation(self._stage.start, count, {"paths": list(paths), "read": read})
        try:
            while True:
                event = conversation.next(_STALL)
                if event["event"] == "counted":
                    return [Count(*_numbers(disk)) for disk in event["disks"]]
                if event["event"] == "failed":
                    raise GanetiError(f"{self._target.node} cannot read {event.get('path')}: {event.get('why')}.")
        except TimeoutError:
            raise ConnectionFailed(f"{self._target.node} did not go on counting for {_STALL:.0f} s.") from None
        except (KeyError, TypeError, ValueError):
            raise ConnectionFailed(f"{self._target.node} did not answer with what the disks take.") from None
        finally:
            conversation.close()


class _Heard:
    """What has come over the console."""

    def __init__(self, identifier: str, show: t.Callable[[Message], None]) -> None:
        self._identifier, self._show = identifier, show
        self.account = Account()
        self.last: t.List[str] = []

    def add(self, line: str) -> None:
        """One line of the console, be it the helper's or not."""
        message = parse(line, self._identifier)
        if message is None:
            self.last = [*self.last, line][-_MOST_LAST:]
        else:
            self.account.add(message)
            self._show(message)


def is_attended(start: Start, name: str, identifier: str) -> str:
    """What runs as instance *name*: the helper (ATTENDING), another system (ANOTHER), nothing (ABSENT)."""
    following = Following(start, name, f"zeroing.id={identifier}")
    following.close()
    return following.found


def _numbers(disk: t.Mapping[str, t.Any]) -> t.Tuple[int, t.Optional[int], t.Optional[int]]:
    size, allocated, data = disk["size"], disk["allocated"], disk["data"]
    return int(size), None if allocated is None else int(allocated), None if data is None else int(data)


def _so_far(found: Verdict) -> str:
    return f"its disks take {found.freed} bytes less." if found.freed > 0 else "nothing was freed."


def _quoted(lines: t.Sequence[str]) -> str:
    kept = " / ".join("".join(char for char in line if char.isprintable())[:200] for line in lines)
    return f"{kept or 'none'}. See whether its kernel fits this machine, and build it anew with the role zeroing_image."


__all__ = ("ABSENT", "ANOTHER", "ATTENDING", "HelperFailed", "Report", "Settings", "Stage", "Target", "Zeroing", "is_attended")
