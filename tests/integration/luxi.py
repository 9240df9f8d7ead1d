# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tests ask of a cluster, and the jobs they give it, through its master's own socket: a command of Ganeti's takes half a second of a processor to start.

Not the client that is tested: this one only knows what tests need, and fails loudly.
"""

from __future__ import annotations

import json
import typing as t

SOCKET = "/var/run/ganeti/socket/ganeti-query"
OF_WCONFD = "/var/run/ganeti/socket/ganeti-wconfd"
END = "\x03"
FINAL = ("success", "error", "canceled")
_PATIENCE = 60

Run = t.Callable[..., str]
Opcode = t.Dict[str, t.Any]


class Ganeti:
    """One cluster; *run* runs a command on its master."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def configuration(self) -> t.Any:
        """The configuration, secrets included, as wconfd has it; its file may be a moment behind."""
        return self.call("readConfig", socket=OF_WCONFD)

    def flush(self) -> None:
        """Let wconfd write what has changed, and wait until it has."""
        self.call("flushConfig", socket=OF_WCONFD)

    def call(self, method: str, *arguments: t.Any, socket: str = SOCKET) -> t.Any:
        """The answer to a call."""
        request = json.dumps({"method": method, "args": arguments}) + END
        text = self._run("socat", f"-t{_PATIENCE * 2}", "-", f"UNIX-CONNECT:{socket}", given=request)
        assert text.endswith(END), f"{method} got no answer: {text!r}"
        answer = json.loads(text[:-1])
        assert answer["success"], f"{method}{arguments}: {answer['result']}"
        return answer["result"]

    def query(self, what: str, fields: t.Sequence[str], where: t.Optional[t.Sequence[t.Any]] = None) -> t.List[t.List[t.Any]]:
        """Rows of values; None for one that there is not."""
        rows = self.call("Query", what, list(fields), where)["data"]
        return [[value if status == 0 else None for status, value in row] for row in rows]

    def submit(self, *opcodes: Opcode) -> int:
        """The number of a job."""
        return int(self.call("SubmitJob", [{"reason": [], **opcode} for opcode in opcodes]))

    def wait(self, job: int) -> t.List[t.Any]:
        """The results of a job, which must succeed; waits as long as it takes."""
        seen: t.Any = None
        while True:
            change = self.call("WaitForJobChange", job, ["status"], seen, None, _PATIENCE)
            if change == "nochange":
                continue
            seen = change[0]
            if seen[0] in FINAL:
                break
        ((_status, results),) = self.call("QueryJobs", [job], ["status", "opresult"])
        assert seen[0] == "success", f"job {job}: {seen[0]}: {results}"
        return t.cast("t.List[t.Any]", results)

    def job(self, *opcodes: Opcode) -> t.List[t.Any]:
        """The results of opcodes, run one after the other in one job."""
        return self.wait(self.submit(*opcodes))

    def hold(self) -> int:
        """A job that runs until it is let go, ten minutes at the most: its summary is TEST_DELAY(600.0)."""
        job = self.submit({"OP_ID": "OP_TEST_DELAY", "duration": 600.0, "interruptible": True, "on_master": False})
        while not self._door(job):
            self.call("WaitForJobChange", job, ["status"], None, None, 1)
        return job

    def let_go(self, job: int) -> None:
        """End a job that is held, and wait until it has ended."""
        self._run("socat", "-", f"UNIX-CONNECT:{self._door(job)}", given="x")
        self.wait(job)

    def _door(self, job: int) -> t.Optional[str]:
        """The socket that the job waits at."""
        ((status, logs),) = self.call("QueryJobs", [job], ["status", "oplog"])
        assert status not in FINAL, f"job {job} has ended as {status}"
        return next((entry[3][0] for log in logs for entry in log if entry[2] == "delay-test"), None)

    def unfinished(self, *words: str) -> t.List[t.List[t.Any]]:
        """Jobs that have not ended and whose opcodes speak of any of these: number and what they do."""
        rows = self.query("job", ["id", "status", "summary", "ops"])
        return [[number, summary] for number, status, summary, ops in rows if status not in FINAL and any(word in json.dumps(ops) for word in words)]


def shown(value: t.Any) -> str:
    """A value as a word."""
    if isinstance(value, list):
        return ",".join(shown(each) for each in value)
    return "-" if value is None else str(value)
