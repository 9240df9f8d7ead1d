# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""TLS 1.3's cipher suites, chosen before OpenSSL is loaded.

Python's ssl has no call that chooses them before its version 3.15, so OpenSSL's configuration has to; and OpenSSL reads
that once, when it is loaded. Nothing here may import ssl or hashlib.
"""

from __future__ import annotations

import os
import re
import typing as t

_NAME = re.compile(r"TLS_[A-Z0-9_]+\Z")
_CONFIGURATION = "openssl_conf = start\n[start]\nssl_conf = ssl\n[ssl]\nsystem_default = defaults\n[defaults]\nCiphersuites = {}\n"


def is_suite(cipher: str) -> bool:
    """Whether *cipher* has the form of a TLS 1.3 suite's name."""
    return _NAME.match(cipher) is not None


def offer_only(names: t.Sequence[str]) -> None:
    """Let OpenSSL, once it is loaded, offer these suites with TLS 1.3 and no others; without names, its own."""
    strange = [name for name in names if not is_suite(name)]
    if strange:
        raise SystemExit(f"{strange[0]!r} is not the name of a TLS 1.3 cipher suite.")
    if not names:
        return
    # A memory file, as nothing is to be written to a node; it stays open for as long as this process lives.
    descriptor = os.memfd_create("openssl.cnf")
    os.write(descriptor, _CONFIGURATION.format(":".join(names)).encode("ascii"))
    os.environ["OPENSSL_CONF"] = f"/proc/self/fd/{descriptor}"
