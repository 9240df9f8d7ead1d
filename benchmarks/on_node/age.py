# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a node: makes a disk with an ext4 that has aged, so that its free blocks are scattered and hold what was deleted.

Arguments: the disk's file, its size in MiB, a directory for what is in between. Prints, as JSON, how many files are left.
Files of 4 KiB to 4 MiB fill it, most of them are removed by chance, and others are written into the gaps. The same bytes each time.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import typing as t

FULL, LEFT, AGAIN = 0.85, 0.14, 0.22
"""Of the disk: what is written at first, what is left of that, and what there is after others were written. The file system itself takes 3 % more."""
SMALLEST, RANGE = 4096, 1024
POOL = 64 * 1024 * 1024

chance = random.Random(1)
pool = chance.randbytes(POOL)


def write(directory: str, first: int, most: int) -> t.Dict[str, int]:
    """Write files of *most* bytes in all, named by their number; their sizes by name."""
    os.mkdir(directory)
    sizes: t.Dict[str, int] = {}
    left = most
    while left > 0:
        size = int(SMALLEST * RANGE ** chance.random())
        at = chance.randrange(POOL - size)
        name = f"file{first + len(sizes):06}"
        with open(os.path.join(directory, name), "wb") as stream:
            stream.write(pool[at : at + size])
        sizes[name], left = size, left - size
    return sizes


def change(disk: str, commands: t.Sequence[str]) -> None:
    """Change the file system by debugfs, which mounts nothing."""
    script = "\n".join([*commands, ""])
    subprocess.run(["debugfs", "-w", "-f", "/dev/stdin", disk], input=script, text=True, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    """Make the disk."""
    disk, size, scratch = sys.argv[1], int(sys.argv[2]) * 1024 * 1024, sys.argv[3]
    os.mkdir(scratch)
    first, second = os.path.join(scratch, "first"), os.path.join(scratch, "second")
    files = write(first, 0, int(size * FULL))
    with open(disk, "wb") as stream:
        stream.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "nodiscard", "-d", first, disk], check=True)
    gone, held = [], sum(files.values())
    for name in chance.sample(sorted(files), len(files)):
        if held > size * LEFT:
            gone.append(name)
            held -= files[name]
    others = write(second, len(files), int(size * AGAIN) - held)
    change(disk, [*(f"rm {name}" for name in gone), *(f"write {second}/{name} {name}" for name in others)])
    print(json.dumps({"files": len(files) - len(gone) + len(others)}))


main()
