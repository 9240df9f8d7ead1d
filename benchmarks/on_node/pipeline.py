# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On a node: runs one end of Ganeti's pipeline with its status pipes, as Ganeti's import-export daemon does.

Says "listening" once socat listens. Where a file is named, it is made durable before this ends. Ends the pipeline when
standard input ends, so that nothing stays behind when the controller goes away.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import typing as t

STATUS = (11, 12, 13)
"""What socat says, what dd says, and dd's process number."""


def status_pipe(number: int) -> int:
    """Make *number* the writing end of a pipe; return the reading end."""
    read, write = os.pipe()
    os.dup2(write, number, inheritable=True)
    os.close(write)
    return read


def follow(descriptor: int, tail: t.List[str]) -> None:
    """Read what a part of the pipeline says; the last lines go to *tail*."""
    with open(descriptor, encoding="utf-8", errors="replace") as stream:
        for line in stream:
            tail.append(line)
            del tail[:-20]
            if " listening on " in line:
                print("listening", flush=True)


def end_with_controller(child: int) -> None:
    """Wait for the end of standard input, then end the pipeline, whose session is its own."""
    while os.read(0, 4096):
        pass
    os.killpg(child, signal.SIGTERM)


def main() -> int:
    """Run the command in the first argument; make the file in the second durable."""
    command, durable = json.loads(sys.argv[1]), sys.argv[2]
    reads = [status_pipe(number) for number in STATUS]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=STATUS, start_new_session=True
    )
    for number in STATUS:
        os.close(number)
    assert process.stderr is not None
    tail: t.List[str] = []
    for descriptor in (*reads, os.dup(process.stderr.fileno())):
        threading.Thread(target=follow, args=(descriptor, tail), daemon=True).start()
    threading.Thread(target=end_with_controller, args=(process.pid,), daemon=True).start()
    status = process.wait()
    if status:
        sys.stderr.write("".join(tail))
    elif durable:
        descriptor = os.open(durable, os.O_RDWR)
        os.fsync(descriptor)
        os.close(descriptor)
    return 1 if status else 0


sys.exit(main())
