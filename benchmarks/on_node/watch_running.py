# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On a node: says when an instance of the hypervisor fake begins and ends to run there, until standard input ends.

Argument: the instance's name. Lines: "up SECONDS" and "down SECONDS", by the clock that all containers of a machine share.
"""

from __future__ import annotations

import os
import select
import sys
import time

DIRECTORY = "/run/ganeti/fake-hypervisor"
PAUSE = 0.01

path = os.path.join(DIRECTORY, sys.argv[1])
before = None
while not select.select([0], [], [], PAUSE)[0]:
    now = os.path.exists(path)
    if now is not before:
        print("up" if now else "down", time.monotonic(), flush=True)
        before = now
