# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the server of programs.py imports, once, for all that it forks."""

# ruff: noqa: F401

from __future__ import annotations

import ansible.cli.adhoc
import ansible.cli.playbook
import ansible.executor.module_common
import ansible.executor.task_executor
import ansible.module_utils.basic
import ansible.module_utils.testing
import ansible.plugins.strategy.linear
import cryptography.x509
import paramiko
