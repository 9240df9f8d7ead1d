# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the watchdog's tests share."""

from __future__ import annotations

import hashlib
import ssl
import subprocess

import pytest


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate, as Ganeti's client.pem, and its digest."""
    directory = tmp_path_factory.mktemp("certificate")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=a2", "-keyout", "key", "-out", "made"]
    subprocess.run(command, check=True, capture_output=True, cwd=directory)
    text = (directory / "made").read_text()
    digest = hashlib.sha1(ssl.PEM_cert_to_DER_cert(text)).hexdigest().upper()
    return text, ":".join(digest[start : start + 2] for start in range(0, len(digest), 2))
