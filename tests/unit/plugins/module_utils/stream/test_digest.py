# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Digests: independent of order and lanes, dependent on everything else."""

from __future__ import annotations

import hashlib
import zlib

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.stream.digest import CHECKSUMS, DiskDigest

ENTRIES = st.lists(st.tuples(st.integers(0, 2**63), st.integers(1, 2**18), st.binary(min_size=4, max_size=4)), max_size=20)


def digest(entries):
    result = DiskDigest()
    for entry in entries:
        result.add(*entry)
    return result.hexdigest()


@given(ENTRIES, st.randoms(use_true_random=False))
def test_the_order_does_not_matter(entries, random):
    shuffled = list(entries)
    random.shuffle(shuffled)
    assert digest(entries) == digest(shuffled)


@given(ENTRIES, st.integers(0, 20))
def test_lanes_merge_to_the_whole(entries, cut):
    merged = DiskDigest()
    merged.merge(digest(entries[:cut]))
    merged.merge(digest(entries[cut:]))
    assert merged.hexdigest() == digest(entries)


@given(ENTRIES, st.tuples(st.integers(0, 2**63), st.integers(1, 2**18), st.binary(min_size=4, max_size=4)))
def test_another_block_is_another_digest(entries, extra):
    assert digest(entries) != digest(entries + [extra])


def test_the_empty_disk_is_zero():
    assert digest([]) == "0" * 64


def test_one_block_by_hand():
    """The definition, computed without the code: SHA-256 of offset, length and checksum."""
    entry = (3 * 4096).to_bytes(8, "big") + (5).to_bytes(4, "big") + zlib.crc32(b"hello").to_bytes(4, "big")
    assert digest([(3 * 4096, 5, CHECKSUMS["crc32"].of(b"hello"))]) == hashlib.sha256(entry).hexdigest()


def test_checksums_have_the_size_they_claim():
    for checksum in CHECKSUMS.values():
        assert len(checksum.of(memoryview(b"x"))) == checksum.size
