# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Frames: what is accepted from the network, and what never is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.stream import frames
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.errors import EndpointError
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.extents import BLOCK

SIZES = (10 * BLOCK, 5000)


@given(st.integers(0, 255), st.integers(0, 0xFFFF), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
def test_no_header_leads_outside_a_disk(kind, disk, length, offset):
    header = frames.HEADER.pack(kind, disk, length, offset)
    try:
        frame = frames.parse(header, SIZES)
    except EndpointError:
        return
    if frame.kind == frames.END:
        assert (disk, length, offset) == (0, 0, 0)
    else:
        assert frame.kind == frames.DATA
        assert 0 <= frame.offset < frame.offset + frame.length <= SIZES[frame.disk]
        assert frame.offset // BLOCK == (frame.offset + frame.length - 1) // BLOCK


@given(st.integers(0, 9), st.integers(0, BLOCK - 1), st.integers(1, BLOCK))
def test_every_frame_within_a_block_is_accepted(block, start, length):
    length = min(length, BLOCK - start)
    frame = frames.parse(frames.HEADER.pack(frames.DATA, 0, length, block * BLOCK + start), SIZES)
    assert frame == (frames.DATA, 0, length, block * BLOCK + start)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ((frames.DATA, 2, 1, 0), "names disk 2"),
        ((frames.DATA, 1, 1, 5000), "behind the end of disk 1"),
        ((frames.DATA, 1, 2, 4999), "behind the end"),
        ((frames.DATA, 0, BLOCK, 1), "crosses a block"),
        ((frames.DATA, 0, 0, 0), "crosses a block"),
        ((frames.END, 0, 1, 0), "ended with a frame"),
        ((7, 0, 1, 0), "unknown kind 7"),
    ],
)
def test_refusals_say_why(header, words):
    with pytest.raises(EndpointError, match=words):
        frames.parse(frames.HEADER.pack(*header), SIZES)


def test_hello_is_accepted_for_its_move_only():
    hello = frames.pack_hello("one", 1, 3)
    assert frames.check_hello(hello, "one", 3) == 1
    for move_id, lanes in (("two", 3), ("one", 4)):
        with pytest.raises(EndpointError):
            frames.check_hello(hello, move_id, lanes)
    with pytest.raises(EndpointError):
        frames.check_hello(frames.pack_hello("one", 3, 3), "one", 3)
