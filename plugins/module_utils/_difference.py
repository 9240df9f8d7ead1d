# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The one tracker of differences: what feeds ``changed`` is what ``diff`` shows."""

from __future__ import annotations

import typing as t


class Difference:
    """Collects values before and after; knows whether anything differs. Never give it a secret."""

    def __init__(self) -> None:
        self._before: t.Dict[str, t.Any] = {}
        self._after: t.Dict[str, t.Any] = {}
        self._same: t.Dict[str, t.Any] = {}

    def add(self, name: str, before: t.Any, after: t.Any) -> None:
        """Note the parameter *name*; equal values are no difference and are not shown."""
        if before != after:
            self._before[name] = before
            self._after[name] = after

    def keep(self, name: str, before: t.Any, after: t.Any) -> None:
        """Note the parameter *name* and show it where it stays the same, too; None stands for what is not there."""
        if before == after:
            if before is not None:
                self._same[name] = before
            return
        self.add(name, before, after)

    @property
    def changed(self) -> bool:
        """Whether anything differs."""
        return bool(self._after)

    def diff(self) -> t.Dict[str, t.Dict[str, t.Any]]:
        """The result for Ansible's ``diff``."""
        return {"before": {**self._same, **self._before}, "after": {**self._same, **self._after}}
