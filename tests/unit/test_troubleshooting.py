# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/troubleshooting.md quotes messages; they must be those of the code, and of how hosts and clusters are reached all of them."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UTILS = ROOT / "plugins/module_utils"
TEXT = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
_VALUE = "\0"


def template(node: ast.AST) -> str | None:
    """A string of the code with a mark where values stand; None for what is no string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else _VALUE for part in node.values)
    return None


def templates(path: Path) -> list[str]:
    return [text for node in ast.walk(ast.parse(path.read_text())) if (text := template(node)) is not None]


def raised(path: Path) -> list[str]:
    """The messages that errors are made of, in calls of classes of the family in _errors.py."""
    family = {node.name for node in ast.parse((UTILS / "_errors.py").read_text()).body if isinstance(node, ast.ClassDef)}
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    made = [call.args[0] for call in calls if getattr(call.func, "id", "") in family and call.args]
    return [text for node in made if (text := template(node)) is not None and text.strip(_VALUE + " .")]


def quoted() -> list[str]:
    rows = [line for line in TEXT.splitlines() if line.startswith("| `")]
    return [message for row in rows for message in re.findall(r"`([^`]+)`", row.split(" | ")[0])]


def fits(message: str, text: str) -> bool:
    """Whether the parts of a quoted message between its dots stand in a template, in their order."""
    place = 0
    for part in message.split("..."):
        for piece in part.split(_VALUE):
            found = text.find(piece.strip(), place)
            if found < 0:
                return False
            place = found + len(piece.strip())
    return True


@functools.cache
def everything() -> list[str]:
    return [text for path in sorted((ROOT / "plugins").rglob("*.py")) for text in templates(path)]


def test_a_message_that_is_not_in_the_code_is_seen():
    assert fits("The ... of ... is gone.", "The \0 of \0 is gone.")
    assert not fits("The ... of ... is away.", "The \0 of \0 is gone.")
    assert not fits("is gone. ... The", "The \0 of \0 is gone.")


def test_there_is_something_to_check():
    assert len(quoted()) > 100 and len(everything()) > 1000
    assert all(len(re.sub(r"[. ]", "", message)) > 10 for message in quoted())


@pytest.mark.parametrize("message", quoted())
def test_quoted_messages_are_those_of_the_code(message):
    assert any(fits(message, text) for text in everything())


@pytest.mark.parametrize(
    "path", [*sorted((UTILS / "api").glob("ssh*.py")), *(UTILS / "api" / f"{name}.py" for name in ("__init__", "luxi", "master"))], ids=lambda path: path.name
)
def test_every_message_about_the_way_to_a_cluster_is_explained(path):
    """Variants of one row's message, as with another cause behind it, are covered by the row's fixed parts."""
    missing = [text for text in raised(path) if not any(fits(message, text) or fits(_words(text), message) for message in quoted())]
    assert not missing


def _words(text: str) -> str:
    return text.replace(_VALUE, "...")
