# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's client for a stand-in without a network."""

from __future__ import annotations

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Answer, Client, Server


class Called(Client):
    """A client of a server without a network."""

    def __init__(self, inside):
        super().__init__(Server("http://127.0.0.1:9", "admin", "secret"))
        self.inside = inside
        self.asked = []

    def ask(self, method, where, body=None, seconds=None):
        self.asked.append((method, where))
        answer = self.inside.ask(method, where, body)
        return Answer(answer.status, answer.value)


class Interrupted(Called):
    """A client that lets something else happen before one of its requests."""

    def __init__(self, inside, at, then):
        super().__init__(inside)
        self.left, self.then = at, then

    def ask(self, method, where, body=None, seconds=None):
        self.left -= 1
        if self.left == 0:
            self.then()
        return super().ask(method, where, body, seconds)


class Failing(Called):
    """A client that fails at one of its requests, as the server or its own process ends; that is carried out, or *lost*."""

    def __init__(self, inside, at, lost):
        super().__init__(inside)
        self.left, self.lost = at, lost

    def ask(self, method, where, body=None, seconds=None):
        self.left -= 1
        if self.left == 0 and self.lost:
            raise ConnectionFailed("It is away.")
        answer = super().ask(method, where, body, seconds)
        if self.left == 0:
            raise ConnectionFailed("It is away.")
        return answer
