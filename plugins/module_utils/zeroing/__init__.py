# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is free on an instance's disks: read out of their file systems, or given back by a helper that is booted once in place of its own system."""

from __future__ import annotations
