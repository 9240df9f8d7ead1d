# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the collection importable, and a machine that is busy, or a run in the background, as good as any."""

from __future__ import annotations

import gc
import signal

import hypothesis

from . import source_tree

COLLECTION = source_tree.ROOT
"""The collection, which can be imported once that module is loaded."""

# A busy machine draws examples slowly; that says nothing about the code.
hypothesis.settings.register_profile("unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("unhurried")


def pytest_collection_finish() -> None:
    """What is there now stays to the end: whoever makes many objects, as enumerations do, need not have all this looked through again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def pytest_configure() -> None:
    """Whoever starts tests in a shell's background has told them to ignore Ctrl-C, of which some tests are about."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
