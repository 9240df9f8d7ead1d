# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On a node: says when an instance of the hypervisor fake or kvm begins and ends to run there, until standard input ends.

Argument: the instance's name. Lines: "up SECONDS" and "down SECONDS", by the clock that all containers of a machine share.
"""

from __future__ import annotations

import os
import select
import sys
import time

FAKE, KVM = "/run/ganeti/fake-hypervisor", "/run/ganeti/kvm-hypervisor/pid"
PAUSE = 0.01


def runs(name: str) -> bool:
    """Whether it runs: the one hypervisor has a file for that, the other a file with the number of a process, which can be left behind."""
    if os.path.exists(os.path.join(FAKE, name)):
        return True
    try:
        with open(os.path.join(KVM, name), encoding="ascii") as stream:
            return os.path.exists(f"/proc/{int(stream.read())}")
    except (FileNotFoundError, ValueError):  # it is not there yet, or not written
        return False


before = None
while not select.select([0], [], [], PAUSE)[0]:
    now = runs(sys.argv[1])
    if now is not before:
        print("up" if now else "down", time.monotonic(), flush=True)
        before = now
