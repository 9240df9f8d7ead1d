# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Nobody is told of a job, or of its end, before so many servers of the cluster's backend storage have it (`acknowledge` of backend_storage).

Which servers there are and how many are wanted is known on the master: the service's program there is asked, by whatever leads to the master. So nothing of
the storage is imported here. A cluster without a database, or that wants no server, costs one question for each connection.

1. A job is acknowledged when that many servers have answered, after it got there, that they hold it in its state, or a later one.
2. A server that does not answer does not count, and neither does one whose answer is older.
3. What is done where it takes longer is `degrade`: to go on waiting, to go on after some seconds and say so, or to fail. The job itself has long begun:
   Ganeti runs it whoever knows of it.
"""

from __future__ import annotations

import json
import time
import typing as t

from .._errors import ConnectionFailed, GanetiError, NotAcknowledged
from .master import Runner

PROGRAM = "/usr/local/lib/ganeti-couchdb/service.pyz"
SETTINGS = "/etc/ganeti/couchdb.json"
WAIT, AFTER, REFUSE = "wait", "after", "refuse"
DEGRADE = (WAIT, AFTER, REFUSE)
_ASK = f"if [ -r {SETTINGS} ] && [ -e {PROGRAM} ]; then exec /usr/bin/python3 -I {PROGRAM} --config {SETTINGS} --acknowledged; fi"
_OLDER = b"unrecognized arguments"
"""What the program of an older release says, which knows nothing of this, so that nobody can have asked for it."""


class Seen(t.NamedTuple):
    """How many servers are wanted, what to do where it takes more than *after* seconds, which servers have the job, and of the others why not."""

    wanted: int
    degrade: str
    after: float
    has: t.List[str]
    others: t.Dict[str, str]


def warn(words: str) -> None:
    """Warn users, in the result of the module that runs."""
    from ansible.module_utils.common.warnings import warn as say  # here, as on nodes there is no Ansible

    say(words)


Ask = t.Callable[[], t.Optional[Seen]]
"""Asks all servers, and waits for a moment where too few have the job; None where nothing is wanted."""


def wait(ask: Ask, what: str) -> bool:
    """Wait until enough servers have the job; False where nothing is wanted. Raises NotAcknowledged where that takes too long, and is to be refused."""
    started = time.monotonic()
    said = False
    while True:
        seen = ask()
        if seen is None or len(seen.has) >= seen.wanted:
            return seen is not None
        if not said and time.monotonic() - started >= seen.after:
            words = in_words(seen, what)
            if seen.degrade == REFUSE:
                raise NotAcknowledged(f"{words}. The job itself is not undone: repair the servers, and see the job with gnt-job info on the master.")
            warn(f"{words}. {'It is waited for.' if seen.degrade == WAIT else 'It was not waited for any longer.'}")
            said = True
            if seen.degrade == AFTER:
                return True


def in_words(seen: Seen, what: str) -> str:
    """Who has it and who has not."""
    has = f"{', '.join(seen.has)} {'have' if len(seen.has) > 1 else 'has'} it" if seen.has else "nobody has it"
    others = "; ".join(f"{name}: {why.rstrip('.')}" for name, why in seen.others.items())
    return f"{what} is not on {seen.wanted} servers within {seen.after:g} s: {has}; {others}"


class Acknowledgement:
    """Asks on the master."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._off = False

    def __call__(self, job_id: int, status: str) -> None:
        """Wait until enough servers have the job in this state or a later one."""
        if not self._off:
            self._off = not wait(lambda: self._ask(job_id, status), f"Job {job_id} ({status})")

    def _ask(self, job_id: int, status: str) -> t.Optional[Seen]:
        nobody_knows = f"Job {job_id} is {status}, but whether enough servers have it nobody can tell"
        try:
            code, output, said = self._runner.run(["sh", "-c", _ASK], json.dumps({"job": job_id, "status": status}).encode())
        except ConnectionFailed as error:
            raise GanetiError(f"{nobody_knows}: {error.message.rstrip('.')}.", job_id=job_id) from error
        text = output.decode("utf-8", "replace").strip()
        if code == 0 and not text or _OLDER in said:
            return None
        try:
            answer = json.loads(text)
            return Seen(**answer) if answer["wanted"] else None
        except (ValueError, KeyError, TypeError):
            why = text.partition("CRITICAL: ")[2] or said.decode("utf-8", "replace").strip().rpartition("\n")[2] or f"exit status {code}"
            raise GanetiError(f"{nobody_knows}: {why.rstrip('.')}.", job_id=job_id) from None
