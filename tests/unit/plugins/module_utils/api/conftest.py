# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .sshd import Sshd, make_key


@pytest.fixture(name="user_key", scope="session")
def fixture_user_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("keys") / "id")


@pytest.fixture(name="sshd")
def fixture_sshd(tmp_path: Path, user_key: Path) -> Iterator[Sshd]:
    server = Sshd(tmp_path / "sshd")
    server.authorized.write_text(Path(f"{user_key}.pub").read_text())
    yield server
    server.stop()
