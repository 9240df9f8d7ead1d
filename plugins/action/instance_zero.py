# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shows how far a zeroing is while the module of the same name runs."""

from __future__ import annotations

from ansible_collections.ganeti.cluster.plugins.plugin_utils.showing import ShowingAction


class ActionModule(ShowingAction):
    """Runs the module where its task runs; its progress is shown where that is the controller."""

    MODULE = "instance_zero"
