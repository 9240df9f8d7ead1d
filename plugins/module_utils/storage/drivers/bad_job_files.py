# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Files of jobs that cannot be stored: damaged, or refused by the place where they should go. They are named, and tried again when they change.

One bad file must not hold up the others, nor be read or sent again and again. What is remembered ends with the process; so after its place was
repaired, as by a higher limit, a restart tries all of them again.
"""

from __future__ import annotations

import os
import typing as t

from ..._errors import StorageFailed

_NAMED, _CHARACTERS = 3, 300
"""How many files are named, and how much is said of each."""

Identity = t.Tuple[int, int, int, int]
"""Which file it is, in which state: device, inode, size, and the time of its last change in nanoseconds."""


def identity(path: str) -> Identity:
    """Which file is there now; raise FileNotFoundError where none is, StorageFailed where it cannot be told."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageFailed(f"Cannot look at {path}: {error.strerror}.") from error
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


class BadJobFiles:
    """The files that are set aside, by their paths."""

    def __init__(self) -> None:
        self._found: t.Dict[str, t.Tuple[t.Optional[Identity], str]] = {}

    def note(self, path: str, state: t.Optional[Identity], why: str) -> None:
        """Set a file aside while it is in this state; with None until it is read again."""
        self._found[path] = (state, why)

    def stands(self, path: str, state: Identity) -> bool:
        """Whether the file is set aside in just this state."""
        return path in self._found and self._found[path][0] == state

    def clear(self, path: str) -> None:
        """It is as it should be, or gone."""
        self._found.pop(path, None)

    def prune(self) -> None:
        """Forget files that are gone."""
        for path in [path for path in self._found if not os.path.exists(path)]:
            del self._found[path]

    def words(self) -> t.List[str]:
        """What to say of them: something of the first ones, and how many more there are."""
        some = [why if len(why) <= _CHARACTERS else f"{why[:_CHARACTERS]}..." for _path, (_state, why) in sorted(self._found.items())[:_NAMED]]
        more = len(self._found) - len(some)
        return [*some, *([f"{more} more files of jobs cannot be stored either."] if more else [])]
