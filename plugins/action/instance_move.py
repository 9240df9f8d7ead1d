# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shows how far a move is while the module of the same name runs."""

from __future__ import annotations

import typing as t

from ansible_collections.ganeti.cluster.plugins.plugin_utils.showing import ShowingAction


class ActionModule(ShowingAction):
    """Runs the module on the controller; its journal tells the steps where it runs asynchronously."""

    MODULE = "instance_move"
    _requires_connection = False

    def refusal(self) -> t.Optional[str]:
        """Why the module cannot run where the task does."""
        if self._connection.transport != "local":
            return "instance_move runs on the controller: add delegate_to: localhost to the task."
        return None
