# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The file that an image becomes: made under a name beside it, and there under its own name once it is whole."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import grp
import os
import pwd
import re
import stat
import typing as t

from .._errors import ImageFailed, ImageRefused, InvalidInput
from .opened import File, check_path, open_regular

_MODE = re.compile(r"0?[0-7]{3}")
_DIGITS = re.compile(r"[0-9]{1,20}")
_NOBODY = (1 << 32) - 1
"""The number that stands for none."""


class Rights(t.NamedTuple):
    """Whose a file is, and who may do what with it; None for what is left as it is."""

    mode: int
    user: t.Optional[int]
    group: t.Optional[int]

    def of(self, found: os.stat_result) -> t.Dict[str, t.Any]:
        """What is to be compared, of a file."""
        told: t.Dict[str, t.Any] = {"mode": f"{stat.S_IMODE(found.st_mode):04o}"}
        return {**told, **({} if self.user is None else {"owner": found.st_uid}), **({} if self.group is None else {"group": found.st_gid})}

    def wanted(self) -> t.Dict[str, t.Any]:
        """The same, of a file that has them."""
        told: t.Dict[str, t.Any] = {"mode": f"{self.mode:04o}"}
        return {**told, **({} if self.user is None else {"owner": self.user}), **({} if self.group is None else {"group": self.group})}

    def give(self, descriptor: int) -> None:
        """Give a file these rights."""
        os.fchown(descriptor, -1 if self.user is None else self.user, -1 if self.group is None else self.group)
        os.fchmod(descriptor, self.mode)


def rights(mode: str, owner: t.Optional[str], group: t.Optional[str]) -> Rights:
    """Rights out of what the user says; raise InvalidInput for what is none."""
    if not _MODE.fullmatch(mode):
        raise InvalidInput(f"mode is {mode!r}: use three or four octal digits, as '0600'.")
    user = _number(owner, "owner", lambda name: pwd.getpwnam(name).pw_uid)
    return Rights(int(mode, 8), user, _number(group, "group", lambda name: grp.getgrnam(name).gr_gid))


def _number(said: t.Optional[str], option: str, find: t.Callable[[str], int]) -> t.Optional[int]:
    if said is None:
        return None
    if _DIGITS.fullmatch(said):
        if int(said) >= _NOBODY:
            raise InvalidInput(f"{option} is {said}: the largest number is {_NOBODY - 1}.")
        return int(said)
    try:
        return find(said)
    except (KeyError, ValueError):
        raise InvalidInput(f"{option} is {said!r}: there is no such user or group on this node.") from None


def temporary(path: str) -> str:
    """The name that a file has while it is made."""
    return f".{os.path.basename(path)}.adopting"


class Target:
    """A place for a file, in a directory that is held open so that it stays the same."""

    def __init__(self, path: str) -> None:
        self.path = check_path(path, "dest")
        self.name = os.path.basename(path)
        self._temporary = temporary(path)
        try:
            self.directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ImageFailed(f"The directory of {path} cannot be opened: {error.strerror}. Make it first.") from error

    def __enter__(self) -> Target:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self.directory)

    def existing(self) -> t.Optional[File]:
        """The file that is there already, opened, or None."""
        try:
            return open_regular(self.path, self.directory)
        except FileNotFoundError:
            return None

    def tidy(self, there: File) -> None:
        """Take the other name from the file that is there, if a run has died just before it did so."""
        if self._forget(there.descriptor):
            there.stat = os.fstat(there.descriptor)
            self.sync()

    def check_room(self, needed: int) -> None:
        """Raise ImageFailed where the file system has not got so many bytes."""
        state = os.fstatvfs(self.directory)
        free = state.f_bavail * state.f_frsize
        if needed > free:
            raise ImageFailed(f"There is no room for {self.path}: it takes up to {needed} bytes, and {free} are free. Make room, or use another file system.")

    def check_size(self, size: int) -> None:
        """Raise ImageFailed where the file system has no files of so many bytes; it is tried with one that has no name."""
        try:
            descriptor = os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=self.directory)
        except OSError:  # a file system that has none without a name: then it is found out later
            return
        try:
            os.truncate(descriptor, size)
        except (OSError, OverflowError) as error:
            raise ImageFailed(f"{self.path} would have {size} bytes, which its file system has not got for a file ({error}).") from error
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def fresh(self, size: int) -> t.Iterator[File]:
        """An empty file beside the target, all of it a hole; removed at the end unless it was put in place. One run at a time gets it."""
        self._clear()
        descriptor = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self.directory)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.truncate(descriptor, size)
            yield File(os.path.join(os.path.dirname(self.path), self._temporary), descriptor)
        except OSError as error:
            raise ImageFailed(f"{self.path} could not be written: {error.strerror}.") from error
        finally:
            self._forget(descriptor)
            os.close(descriptor)

    def _is_temporary(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.stat(self._temporary, dir_fd=self.directory, follow_symlinks=False), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def _forget(self, descriptor: int) -> bool:
        """Take the name from an open file that it has while it is made; whether it had it."""
        if not self._is_temporary(descriptor):
            return False
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._temporary, dir_fd=self.directory)
        return True

    def _clear(self) -> None:
        """Remove what a run that died has left; raise ImageFailed where one is still at it."""
        try:
            left = os.open(self._temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.directory)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ImageRefused(f"{self._temporary} is in the way beside {self.path}: {error.strerror}. Look what it is, and remove it.") from error
        try:
            fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not self._is_temporary(left):  # another run has cleared it away meanwhile, and has begun
                raise BlockingIOError
            os.unlink(self._temporary, dir_fd=self.directory)
        except BlockingIOError:
            raise ImageFailed(f"Another run is making {self.path} at this moment: wait for it.") from None
        finally:
            os.close(left)

    def put(self, descriptor: int) -> None:
        """Give an open file the target's name, which nothing may have; durable when this returns."""
        os.fsync(descriptor)
        try:
            _link(descriptor, self.directory, self.name)
        except FileExistsError:
            raise ImageRefused(f"{self.path} came to be while the image was read, and was not touched.") from None
        self.sync()

    def sync(self) -> None:
        """Have the directory outlast the power."""
        os.fsync(self.directory)


def _link(descriptor: int, directory: int, name: str) -> None:
    """Give the open file one more name, never instead of another file (os.link cannot follow in /proc/self/fd on all releases of Python)."""
    libc = ctypes.CDLL(None, use_errno=True)
    at_cwd, follow = -100, 0x400
    if libc.linkat(at_cwd, f"/proc/self/fd/{descriptor}".encode(), directory, os.fsencode(name), follow):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
