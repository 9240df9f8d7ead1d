# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Mutual TLS 1.3 between two endpoints, with keys that never touch a disk."""

from __future__ import annotations

import os
import ssl
import typing as t

from . import ciphers
from .errors import EndpointError


class Identity(t.NamedTuple):
    """Who this endpoint is and whom it accepts; PEM texts made for one move."""

    certificate: str
    key: str
    ca: str


def certificate_names(move_id: str) -> t.Tuple[str, str]:
    """The names that the two certificates of a move carry: source's, destination's."""
    return f"source.{move_id}.ganeti-move", f"destination.{move_id}.ganeti-move"


def context(identity: Identity, server: bool, wanted: t.Sequence[str] = ()) -> ssl.SSLContext:
    """A context that demands the peer's certificate; it speaks TLS 1.3 with its usual suites, or offers exactly the ciphers named."""
    result = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    result.minimum_version = ssl.TLSVersion.TLSv1_3
    result.verify_mode = ssl.CERT_REQUIRED
    if wanted:
        ciphers.offer_only(result, wanted)
    result.load_verify_locations(cadata=identity.ca)
    # The ssl module loads keys from files only; a memory file has no disk under it.
    descriptor = os.memfd_create("identity")
    try:
        os.write(descriptor, (identity.certificate + identity.key).encode("ascii"))
        result.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    if server:
        result.num_tickets = 0  # no session is ever resumed
    return result


def peer_names(connection: ssl.SSLSocket) -> t.List[str]:
    """The DNS names in the peer's verified certificate."""
    certificate = connection.getpeercert() or {}
    alternatives = t.cast("t.Iterable[t.Tuple[str, str]]", certificate.get("subjectAltName", ()))
    return [value for kind, value in alternatives if kind == "DNS"]


def negotiated(connection: ssl.SSLSocket, wanted: t.Sequence[str]) -> t.List[t.Any]:
    """The protocol, the cipher and its bits that a connection uses; raise EndpointError where that is not what was asked for."""
    cipher, _protocol, bits = connection.cipher() or ("none", "", 0)
    version = connection.version() or "none"
    if (cipher not in wanted) if wanted else (version != "TLSv1.3"):
        raise EndpointError(f"The nodes agreed on {version} with {cipher}, which was not asked for.")
    return [version, cipher, bits]
