# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Ciphers that a user names: each must be one cipher of this OpenSSL, never a rule of its cipher strings."""

from __future__ import annotations

import ssl
import typing as t

from .errors import EndpointError

_EVERYTHING = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
_WEAK = 112
"""Bits below which OpenSSL's security level 1 turns a cipher away; level 0, which allows it, is set by us alone."""

# Both ends show certificates with elliptic keys, and must: a cipher without authentication would skip them.
_AUTHENTICATIONS = frozenset(("auth-any", "auth-ecdsa"))


class Cipher(t.NamedTuple):
    """A cipher of OpenSSL: the protocol it came with, how ends prove who they are, bits of strength (0: no encryption)."""

    name: str
    protocol: str
    authentication: str
    bits: int

    @property
    def suite(self) -> bool:
        """Whether it is one of TLS 1.3."""
        return self.protocol == "TLSv1.3"


def of_context(context: ssl.SSLContext) -> t.Dict[str, Cipher]:
    """The ciphers that *context* offers, by name."""
    listed = t.cast("t.List[t.Dict[str, t.Any]]", context.get_ciphers())
    return {each["name"]: Cipher(each["name"], each["protocol"], each["auth"], each["strength_bits"]) for each in listed}


def known() -> t.Dict[str, Cipher]:
    """All ciphers of this OpenSSL, the weakest included."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers(_EVERYTHING)
    return of_context(context)


def problems(names: t.Sequence[str], available: t.Mapping[str, Cipher]) -> t.List[str]:
    """What stands against using *names*, a sentence each."""
    found = []
    for name in names:
        cipher = available.get(name)
        if cipher is None:
            found.append(f"{name} is not the name of a cipher of this node's {ssl.OPENSSL_VERSION}: name one that openssl ciphers -s ALL:eNULL lists.")
        elif cipher.authentication not in _AUTHENTICATIONS:
            found.append(f"The cipher {name} does not fit the certificates of a move: name one of the ECDHE-ECDSA ciphers or a TLS 1.3 suite.")
    return found


def offer_only(context: ssl.SSLContext, names: t.Sequence[str]) -> None:
    """Let *context* offer exactly the ciphers *names*; raise EndpointError where that cannot be.

    TLS 1.3's suites among them must have been chosen before OpenSSL was loaded (`suites.offer_only`).
    """
    available = known()
    found = problems(names, available)
    if found:
        raise EndpointError(" ".join(found))
    chosen = [available[name] for name in names]
    older = [cipher for cipher in chosen if not cipher.suite]
    if older:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        level = ":@SECLEVEL=0" if any(cipher.bits < _WEAK for cipher in older) else ""
        context.set_ciphers(":".join(cipher.name for cipher in older) + level)
    if len(older) == len(chosen):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    offered = [cipher.name for cipher in of_context(context).values() if _is_usable(context, cipher)]
    if sorted(offered) != sorted(names):
        raise EndpointError(f"OpenSSL on this node offers {', '.join(offered) or 'nothing'} where {', '.join(names)} was asked for.")


def _is_usable(context: ssl.SSLContext, cipher: Cipher) -> bool:
    """Whether the versions of *context* let the cipher take part: its list holds those of other versions too."""
    version = ssl.TLSVersion.TLSv1_3 if cipher.suite else ssl.TLSVersion.TLSv1_2
    return context.minimum_version <= version and not (cipher.suite and context.maximum_version == ssl.TLSVersion.TLSv1_2)
