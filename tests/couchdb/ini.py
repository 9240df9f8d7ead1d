# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CouchDB's configuration: ini files of which a later one wins, and of which the last one is written."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path


class Configuration:
    """What the files of a directory ``etc`` say: default.ini, default.d, local.ini, local.d."""

    def __init__(self, directory: Path) -> None:
        self._files = [
            directory / "default.ini",
            *sorted(directory.glob("default.d/*.ini")),
            directory / "local.ini",
            *sorted(directory.glob("local.d/*.ini")),
        ]
        self._values: dict[tuple[str, str], str] = {}
        for file in self._files:
            self._values.update(_parse(file.read_text()))

    def get(self, section: str, key: str, default: str = "") -> str:
        """A setting."""
        return self._values.get((section, key), default)

    def section(self, name: str) -> dict[str, str]:
        """The settings of a section."""
        return {key: value for (section, key), value in self._values.items() if section == name}

    def set(self, section: str, key: str, value: str) -> None:
        """Change a setting, in the last of the files."""
        self._values[section, key] = value
        lines = self._files[-1].read_text().splitlines()
        if f"[{section}]" not in lines:
            lines += ["", f"[{section}]"]
        first = lines.index(f"[{section}]") + 1
        end = next((number for number in range(first, len(lines)) if lines[number].startswith("[")), len(lines))
        kept = [line for line in lines[first:end] if line.partition("=")[0].strip() != key]
        lines[first:end] = [f"{key} = {value}", *kept]
        self._files[-1].write_text("\n".join(lines) + "\n")


def _parse(text: str) -> t.Iterator[tuple[tuple[str, str], str]]:
    section = ""
    for line in text.splitlines():
        line = re.split(r"[ \t];", line, maxsplit=1)[0].strip()
        if line.startswith(";"):
            continue
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            continue
        key, found, value = line.partition(" = " if " = " in line else "=")
        if section and found and value.strip():
            yield (section, key.strip()), value.strip()
