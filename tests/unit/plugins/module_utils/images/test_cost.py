# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What opening an image costs: its reads, and the jumps between them."""

from __future__ import annotations

import struct
import tracemalloc

from ansible_collections.ganeti.cluster.plugins.module_utils.images.cost import AHEAD, cost
from ansible_collections.ganeti.cluster.plugins.module_utils.images.look import look

from . import samples


def test_tables_one_after_another_are_no_jumps():
    one = cost([(0, 4096)], [(4096 * number, 4096) for number in range(1, 1000)])
    assert (one.reads_to_open, one.reads, one.jumps, one.bytes, one.span) == (1, 1000, 1, 4096 * 1000, 4096 * 1000)
    assert not one.pays and one.reason().endswith("nobody notices.")


def test_a_jump_is_what_is_not_read_ahead():
    assert cost([(0, 100), (100 + AHEAD, 100)], []).jumps == 1
    assert cost([(0, 100), (101 + AHEAD, 100)], []).jumps == 2
    assert cost([(4096, 100), (0, 100)], []).jumps == 2
    assert cost([], []).span == 0


def test_an_image_with_small_clusters_of_which_the_notes_tell(tmp_path):
    """16 GiB in clusters of 4 KiB: 1935 reads for the reference counts alone, 8 MiB apart."""
    bits, cluster = 12, 4096
    path = samples.qcow2(tmp_path / "image", bits=bits, size=32 << 30, l1_size=16384, clusters=16 << 18, refcount_clusters=4)
    with open(path, "r+b") as stream:
        stream.seek(cluster)
        stream.write(struct.pack(">1935Q", *((8 << 20) * number + 143360 // cluster * cluster for number in range(1935))))
        stream.seek(40)  # where the sample has its first table, the table of reference counts goes on
        stream.write(struct.pack(">Q", 64 * cluster))
    with look(str(path), "auto") as image:
        found = image.facts.cost
    assert (found.reads_to_open, found.reads) == (3, 1938) and found.jumps >= 1935 and found.seconds > 16 and found.pays
    assert found.reason().endswith("a raw file has none.")


def test_tables_of_the_largest_size_are_counted_without_a_list_of_them(tmp_path):
    """An eighth of the largest, which as pairs of numbers would take 60 MiB."""
    path = samples.qcow2(tmp_path / "image", size=1 << 40, l1_size=1 << 19, l1=[1 << 63 | 512] * (1 << 19), clusters=80)
    tracemalloc.start()
    try:
        with look(str(path), "auto") as image:
            assert image.facts.cost.reads > 1 << 19
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()
