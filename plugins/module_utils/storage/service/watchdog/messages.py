# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What watchers and takeovers write for each other, as notes (drivers/interface.py), and what is taken of them: nothing that is not of the expected form."""

from __future__ import annotations

import re
import typing as t

from ...drivers.documents import Json
from ...drivers.interface import PARTS, Heard
from .decision import SEEN, View

WATCHER, TAKEOVER = PARTS
_NONCE = re.compile(r"[0-9a-f]{16}\Z")
_DIGEST = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){19}\Z")
_KEY = re.compile(r"[-a-z0-9@.]+ [A-Za-z0-9+/=]+( [ -~]*)?\Z")


class Candidate(t.NamedTuple):
    """With what a node shows the others that it is the one that was elected: the digest of its certificate, and its key for SSH where Ganeti has keys."""

    digest: str
    key: t.Optional[str]


def noted(view: View, files: t.Optional[int], answers: t.Mapping[str, str], **more: t.Any) -> Json:
    """A watcher's note."""
    return {**view._asdict(), "files": files, "answers": dict(answers), **more}


def view(note: t.Optional[t.Mapping[str, t.Any]]) -> t.Optional[View]:
    """What a watcher sees, by its note."""
    if note is None or note.get("sees") not in SEEN or not isinstance(note.get("master"), str) or note.get("armed") not in (True, False):
        return None
    problem = note.get("problem")
    return View(note["sees"], note["master"], note["armed"], _number(note.get("serial")), _number(note.get("job")), None if problem is None else str(problem))


def files(note: t.Mapping[str, t.Any]) -> t.Optional[int]:
    """The serial number in a master candidate's files."""
    return _number(note.get("files"))


def _number(found: t.Any) -> t.Optional[int]:
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None


def asks(note: t.Optional[t.Mapping[str, t.Any]]) -> t.Optional[str]:
    """What a note asks: a number that nobody has used before."""
    found = note.get("asks") if note is not None else None
    return found if isinstance(found, str) and _NONCE.match(found) else None


def questions(heard: t.Mapping[str, Heard]) -> t.Dict[str, str]:
    """All that is asked, by who asks."""
    found = {by(name, part): asks(note) for name, each in heard.items() for part, note in each.parts.items()}
    return {who: what for who, what in found.items() if what is not None}


def by(name: str, part: str) -> str:
    """Who asks."""
    return f"{name}/{part}"


def answered(note: t.Mapping[str, t.Any], who: str, what: str) -> bool:
    """Whether a watcher has looked after it read this question."""
    answers = note.get("answers")
    return isinstance(answers, dict) and answers.get(who) == what


def candidate(note: t.Mapping[str, t.Any]) -> t.Optional[Candidate]:
    """Who wants to be admitted, by a takeover's note."""
    digest, key = note.get("digest"), note.get("key")
    if not isinstance(digest, str) or not _DIGEST.match(digest):
        return None
    if key is not None and (not isinstance(key, str) or not _KEY.match(key)):
        return None
    return Candidate(digest, key)


def told(note: t.Optional[t.Mapping[str, t.Any]]) -> Json:
    """What a watcher's note says to people."""
    seen = view(note)
    words = {key: note.get(key) if note is not None and isinstance(note.get(key), str) else None for key in ("says", "takeover")}
    return {"sees": seen.sees if seen else None, "armed": seen.armed if seen else None, **words}
