# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the clients of all databases need of HTTP: addresses, and connections to them."""

from __future__ import annotations

import http.client
import ipaddress
import ssl
import typing as t


def is_loopback(host: str) -> bool:
    """Whether nobody else can listen on the way to a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def url(scheme: str, host: str, port: int) -> str:
    """An address as it is written."""
    return f"{scheme}://{'[' + host + ']' if ':' in host else host}:{port}"


def connection(host: str, port: int, context: t.Optional[ssl.SSLContext], seconds: float) -> http.client.HTTPConnection:
    """A new connection, not opened yet; encrypted where there is a *context*."""
    if context is not None:
        return http.client.HTTPSConnection(host, port, timeout=seconds, context=context)
    return http.client.HTTPConnection(host, port, timeout=seconds)
