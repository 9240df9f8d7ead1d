# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Extents, blocks and granules: what is data and what is not."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.stream.extents import BLOCK, GRANULE, blocks_of, data_extents, runs, trim

GRANULES = st.lists(st.sampled_from([b"\0" * GRANULE, b"\1" * GRANULE, b"\0" * (GRANULE - 1) + b"x", b"x" + b"\0" * (GRANULE - 1)]), max_size=12)
TAIL = st.binary(max_size=50)
CONTENTS = st.builds(lambda granules, tail: bytearray(b"".join(granules) + tail), GRANULES, TAIL)


@given(CONTENTS)
def test_trim_leaves_out_zeros_only(contents):
    start, end = trim(contents, 0, len(contents))
    assert 0 <= start <= end <= len(contents)
    assert not any(contents[:start]) and not any(contents[end:])


@given(CONTENTS)
def test_trim_leaves_no_zero_granule_at_either_end(contents):
    start, end = trim(contents, 0, len(contents))
    if not any(contents):
        assert start == end
    else:
        assert any(contents[start:start + GRANULE])
        assert any(contents[(end - 1) // GRANULE * GRANULE:end])


@given(CONTENTS, st.integers(0, 64))
def test_trim_counts_from_the_start_of_the_range(contents, headroom):
    plain = trim(contents, 0, len(contents))
    shifted = trim(bytearray(headroom) + contents, headroom, headroom + len(contents))
    assert [bound - headroom for bound in shifted] == list(plain)


@given(CONTENTS)
def test_runs_rebuild_the_contents_on_zeros(contents):
    rebuilt = bytearray(len(contents))
    for start, end in runs(contents, 0, len(contents)):
        assert start < end
        rebuilt[start:end] = contents[start:end]
    assert rebuilt == contents


@given(CONTENTS)
def test_runs_hold_no_zero_granule(contents):
    for start, end in runs(contents, 0, len(contents)):
        for granule in range(start, end, GRANULE):
            assert any(contents[granule:min(granule + GRANULE, end)])


@given(st.lists(st.tuples(st.integers(0, 5 * BLOCK), st.integers(1, 3 * BLOCK)), max_size=8))
def test_blocks_cover_all_extents_once(gaps_and_lengths):
    extents, position = [], 0
    for gap, length in gaps_and_lengths:
        extents.append((position + gap, length))
        position += gap + length
    dealt = [block for first, count in blocks_of(extents) for block in range(first, first + count)]
    assert dealt == sorted(set(dealt))
    assert set(dealt) == {block for offset, length in extents for block in range(offset // BLOCK, (offset + length - 1) // BLOCK + 1)}


def test_extents_of_a_sparse_file(tmp_path):
    path = tmp_path / "disk"
    with open(path, "wb") as stream:
        stream.truncate(64 * BLOCK)
        os.pwrite(stream.fileno(), b"x" * BLOCK, 7 * BLOCK)
        os.pwrite(stream.fileno(), b"y", 50 * BLOCK + 5)
    with open(path, "rb") as stream:
        found = list(blocks_of(data_extents(stream.fileno(), 64 * BLOCK)))
    assert found == [(7, 1), (50, 1)]


def test_extents_stop_at_the_agreed_size(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(b"x" * (3 * BLOCK))
    with open(path, "rb") as stream:
        assert list(data_extents(stream.fileno(), 2 * BLOCK)) == [(0, 2 * BLOCK)]


def test_a_file_that_is_one_hole_has_no_extents(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(b"")
    os.truncate(path, 10 * BLOCK)
    with open(path, "rb") as stream:
        assert not list(data_extents(stream.fileno(), 10 * BLOCK))
