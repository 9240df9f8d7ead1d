# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How etcd's members are reached: addresses, certificates, a user. The password is never shown."""

from __future__ import annotations

import http.client
import ssl
import typing as t
import urllib.parse

from ...._errors import InvalidInput
from .. import addresses

_PORT = 2379


class Endpoint(t.NamedTuple):
    """A member's address for clients."""

    scheme: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """The address as it is written."""
        return addresses.url(self.scheme, self.host, self.port)


def endpoint(url: str) -> Endpoint:
    """The endpoint that a URL names; raise InvalidInput, without what may be a password in it."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or _PORT
    except ValueError as error:
        raise InvalidInput(f"An address in endpoints cannot be read ({_plain(error)}): give it as https://name:{_PORT}.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or parts.path.strip("/") or parts.query or parts.fragment:
        raise InvalidInput(f"{parts.hostname or 'What'} in endpoints is no address of an etcd member: give it as https://name:{_PORT}, without user and path.")
    if parts.scheme == "http" and not addresses.is_loopback(parts.hostname):
        raise InvalidInput(f"{parts.hostname} in endpoints is to be reached without encryption, and the configuration holds secrets: use https.")
    return Endpoint(parts.scheme, parts.hostname, port)


def _plain(error: ValueError) -> str:
    """What is wrong, without the text that it is about."""
    return "its port is no number up to 65535" if "ort" in str(error) else "it is no URL"


class Access:
    """Who asks which members: *urls* of some or all of them, a user where etcd's authentication is on, files for TLS."""

    def __init__(
        self,
        urls: t.Sequence[str],
        username: t.Optional[str] = None,
        password: t.Optional[str] = None,
        ca_path: t.Optional[str] = None,
        cert_path: t.Optional[str] = None,
        key_path: t.Optional[str] = None,
    ) -> None:
        self.endpoints = list(dict.fromkeys(map(endpoint, urls)))
        if not self.endpoints:
            raise InvalidInput("endpoints names no member of etcd: name all of them, so that one may be away.")
        if (username is None) != (password is None):
            raise InvalidInput("username and password go together: give both, or neither where etcd asks for client certificates alone.")
        if key_path and not cert_path:
            raise InvalidInput("key_path is the key of a certificate: name the certificate in cert_path, too.")
        self._ca_path = ca_path
        self.username = username
        self.password = password
        secure = any(each.scheme == "https" for each in self.endpoints)
        self.context = context(ca_path, cert_path, key_path) if secure else None

    def __repr__(self) -> str:
        return f"Access({self.words()!r}, {self.username!r})"

    def stranger(self, one: Endpoint) -> Access:
        """How somebody reaches a member who has neither password nor certificate."""
        return Access([one.url], ca_path=self._ca_path)

    def words(self) -> str:
        """The addresses, for messages."""
        return ", ".join(each.url for each in self.endpoints)

    def connection(self, one: Endpoint, seconds: float) -> http.client.HTTPConnection:
        """A new connection, not opened yet."""
        return addresses.connection(one.host, one.port, self.context if one.scheme == "https" else None, seconds)


def context(ca_path: t.Optional[str], cert_path: t.Optional[str] = None, key_path: t.Optional[str] = None) -> ssl.SSLContext:
    """What verifies members and shows them who asks; raise InvalidInput for a file that cannot be used, by its option."""
    try:
        made = ssl.create_default_context(cafile=ca_path)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"ca_path: {ca_path} cannot be read as certificates ({_reason(error)}): name a PEM file with the authority of etcd.") from error
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert_path:
        try:
            # A key with a passphrase would be asked for at a terminal, which is nobody's here.
            made.load_cert_chain(cert_path, key_path, password=lambda: "")
        except (OSError, ValueError) as error:
            what = f"cert_path and key_path: {cert_path} and {key_path or cert_path} are no certificate and its key without a passphrase"
            raise InvalidInput(f"{what} ({_reason(error)}): name two PEM files that belong together.") from error
    return made


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
