# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers that speak CouchDB's protocol, as the client takes them."""

from __future__ import annotations

import os
import urllib.parse

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Server


def of_url(url):
    """A server of an URL that holds user and password."""
    parts = urllib.parse.urlsplit(url)
    return Server(f"{parts.scheme}://{parts.hostname}:{parts.port}", parts.username, parts.password, os.environ.get("COUCHDB_CA"))


def described(server):
    """A server as settings have it."""
    return {"url": server.url, "username": server.username, "password": server.password, "ca_path": os.environ.get("COUCHDB_CA")}


def options(prefix, **servers):
    """What the settings of a service have for CouchDB, where nodes have these servers."""
    return {"servers": {name: described(server) for name, server in servers.items()}, "prefix": prefix}
