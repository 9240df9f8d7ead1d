# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a node: prints, as JSON, how many files are at the top of an ext4 that nobody uses, and a digest of all their names and contents.

Argument: the disk's file. It is read by debugfs, which mounts nothing, so whoever wrote the files had nothing to do with it.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

CHUNK = 1024 * 1024

listed = subprocess.run(["debugfs", "-R", "ls -p /", sys.argv[1]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
names = sorted(line.split("/")[5] for line in listed.splitlines() if line.startswith("/") and line.split("/")[2].startswith("100"))
reader = subprocess.Popen(["debugfs", "-f", "/dev/stdin", sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
assert reader.stdin and reader.stdout
reader.stdin.write("".join(f"cat {name}\n" for name in names).encode())  # each of which debugfs repeats before the content
reader.stdin.close()
found = hashlib.sha256()
for chunk in iter(lambda: reader.stdout.read(CHUNK), b""):
    found.update(chunk)
if reader.wait():
    sys.exit("debugfs failed")
print(json.dumps({"files": len(names), "digest": found.hexdigest()}))
