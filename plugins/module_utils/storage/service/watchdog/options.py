# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the watchdog on a node has to know: a file that the role writes, for root only."""

from __future__ import annotations

import json
import os
import typing as t

from ...._errors import InvalidInput

LEAST = 3.0
"""Seconds of silence below which nothing is concluded: a few looks have to fit in."""


class Options(t.NamedTuple):
    """The command, and times in seconds."""

    fence_command: str
    silent_for: float = 30.0
    """How long the master has to be silent before a node sees it gone."""
    fence_timeout: float = 60.0
    """How long the command may take."""


def read(file: str) -> Options:
    """Read them; raise InvalidInput where they are not safe, not complete or make no sense."""
    try:
        with open(file, encoding="utf-8") as stream:
            state = os.fstat(stream.fileno())
            given = json.load(stream)
        if state.st_mode & 0o022 or state.st_uid != os.geteuid():
            raise InvalidInput(f"{file} can be changed by others than root: give it to root alone, with mode 0600.")
        found = Options(str(given.pop("fence_command")), **{key: float(value) for key, value in given.items()})
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInput(f"{file} has no options of the watchdog ({error}): write it with the role ganeti.cluster.backend_storage.") from error
    if found.silent_for < LEAST or found.fence_timeout <= 0:
        raise InvalidInput(f"{file}: silent_for is to be {LEAST:g} seconds or more, and fence_timeout more than none.")
    return found
