# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The one family of exceptions of this collection.

Module utilities only raise these; a module's ``main()`` is the one place that turns them into ``fail_json``:
``module.fail_json(msg=error.message, **error.details)``. A message says what happened, to what, and what to do.
Neither message nor details ever hold a secret.
"""

from __future__ import annotations

import typing as t


class GanetiError(Exception):
    """Base of all errors; ``details`` are further results that can be written as JSON."""

    def __init__(self, message: str, **details: t.Any) -> None:
        super().__init__(message)
        self.message = message
        self.details: t.Dict[str, t.Any] = details

    def reword(self, message: str) -> None:
        """Have it say *message*, as it is the same error of which more is known now."""
        self.message, self.args = message, (message,)

    @property
    def ecode(self) -> t.Optional[str]:
        """Ganeti's own code for the kind of error, as "already_exists", or None where it gave none (Ganeti: errors.py)."""
        ecode = self.details.get("ecode")
        return ecode if isinstance(ecode, str) else None


class InvalidInput(GanetiError):
    """What the user asked for makes no sense, whatever the state of a cluster."""


class ConnectionFailed(GanetiError):
    """A cluster or node could not be reached, or the connection to it was lost."""


class AuthenticationFailed(ConnectionFailed):
    """It was reached, but did not let this user in."""


class HostKeyUnknown(ConnectionFailed):
    """The SSH host key, or the pinned certificate, is not the one that was expected; nothing secret was sent."""


class RequestRefused(GanetiError):
    """The cluster, or its interface, says no to the request; ``ecode`` is set where Ganeti gave a code."""


class JobFailed(GanetiError):
    """A job ended in error or was cancelled; details: job_id, opcode, job_log, ecode."""

    before: t.Optional[t.List[t.Any]] = None
    """The results of the opcodes before the one that failed; None where none did, as the job was cancelled."""


class JobTimeout(GanetiError):
    """A job did not finish, or did not get its locks, in time; details: job_id, status, job_log."""


class NotAcknowledged(GanetiError):
    """A job began or ended, and fewer servers of the backend storage have it than are wanted; it is not undone."""


class StreamFailed(GanetiError):
    """Bytes on their way from a disk to a disk were lost, damaged or refused."""


class ImageFailed(GanetiError):
    """An image of a disk could not be read or written."""


class ImageRefused(ImageFailed):
    """An image is not used as it is: it leads outside of itself, contradicts itself, or cannot be read safely on this node."""


class PreflightFailed(GanetiError):
    """Checks before any change found problems: all of them at once, so that one run shows what to repair."""

    def __init__(self, problems: t.Sequence[str], **details: t.Any) -> None:
        self.problems: t.List[str] = [problem if problem.endswith((".", "!", "?")) else f"{problem}." for problem in problems]
        super().__init__(" ".join(self.problems), problems=self.problems, **details)


class MoveInterrupted(GanetiError):
    """A move stopped before its commit or its undo was complete: running the same task again finishes or undoes it."""


class LeaseTaken(GanetiError):
    """Another run of a move holds the lease of its instance; the message says who."""


class LeaseLost(GanetiError):
    """A move's lease is not held any more: whoever held it changes nothing until it has it again."""


class StorageFailed(GanetiError):
    """A place where a cluster's configuration and jobs are stored could not be read or written."""


class StorageConflict(StorageFailed):
    """Somebody else wrote the same at the same time; nothing of theirs was overwritten."""


class StorageFenced(StorageFailed):
    """Another master has claimed the storage: whoever was the one before writes no more."""


class StorageRefused(StorageFailed):
    """What was to be written cannot be stored there, as it is too large or no valid text: the same again would be refused again."""


class StorageIncomplete(StorageFailed):
    """What is stored does not make a whole configuration: a write was cut off, or has not arrived in full."""
