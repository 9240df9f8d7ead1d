# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the server of programs.py imports, once, for all that it forks."""

from __future__ import annotations

import importlib

for name in (
    "ansible.cli.adhoc",
    "ansible.cli.playbook",
    "ansible.executor.module_common",
    "ansible.executor.task_executor",
    "ansible.module_utils.basic",
    "ansible.module_utils.testing",
    "ansible.plugins.strategy.linear",
    "cryptography.x509",
    "paramiko",
):
    importlib.import_module(name)
