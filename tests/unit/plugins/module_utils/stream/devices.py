# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real block devices: loop devices over files of the test's own, which needs root."""

from __future__ import annotations

import contextlib
import subprocess


@contextlib.contextmanager
def loop(path, *options):
    """A loop device over the file *path*; this one is detached again, by its name."""
    made = subprocess.run(["losetup", "--find", "--show", *options, str(path)], check=True, capture_output=True, text=True, timeout=30)
    name = made.stdout.strip()
    try:
        yield name
    finally:
        subprocess.run(["losetup", "--detach", name], check=True, timeout=30)
