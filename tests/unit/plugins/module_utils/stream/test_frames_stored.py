# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever a lane carries, a disk holds exactly what its good frames say, up to the first that is not good."""

from __future__ import annotations

import os
import tempfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.stream import frames
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.digest import DiskDigest
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.disks import Disk
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.errors import EndpointError
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.receiver import store_frames

SIZES = (20000, 4096)
LONGER = 777
"""Bytes by which the disks are longer than agreed."""


class Fed:
    """A lane whose bytes are known."""

    def __init__(self, data):
        self._data = data

    def read_into(self, view):
        """Fill *view* as a connection does."""
        if len(self._data) < len(view):
            raise EndpointError("The stream from the source node broke off.", secondary=True)
        view[:] = self._data[:len(view)]
        self._data = self._data[len(view):]


class Unheard:
    """A reporter to nobody."""

    def progress(self, done, wire=0, work=0):
        """Forget it."""


def packed(kind, disk, offset, data, flip=0):
    """A frame; *flip* damages its checksum."""
    return frames.HEADER.pack(kind, disk, len(data), offset) + (zlib.crc32(data) ^ flip).to_bytes(4, "big") + data


PAYLOADS = st.binary(min_size=1, max_size=40) | st.integers(1, 3).map(lambda count: b"\0" * 4096 * count + b"x")
GOOD = st.tuples(st.just(frames.DATA), st.integers(0, 1), st.integers(0, 20000), PAYLOADS, st.just(0))
ANY = st.tuples(st.integers(0, 255), st.integers(0, 0xFFFF), st.integers(0, 2**64 - 1), st.binary(max_size=40), st.integers(0, 2**32 - 1))


def stored(data):
    """What two disks hold after a lane with these bytes, and what `store_frames` returned or raised."""
    with tempfile.TemporaryDirectory() as directory:
        disks = [Disk(f"{directory}/{index}", size) for index, size in enumerate(SIZES)]
        for disk in disks:
            with open(disk.path, "wb") as stream:
                stream.truncate(disk.size + LONGER)
        descriptors = [os.open(disk.path, os.O_RDWR) for disk in disks]
        try:
            outcome = store_frames(disks, descriptors, "crc32", Fed(data), Unheard())
        except EndpointError as error:
            outcome = error
        contents = [os.pread(descriptor, disk.size + 2 * LONGER, 0) for descriptor, disk in zip(descriptors, disks)]
        for descriptor in descriptors:
            os.close(descriptor)
        return contents, outcome


def write(disk, offset, data):
    """Write as the receiver does: pages of zeros, counted from the frame's beginning, are left out, as the disk was emptied before."""
    for start in range(0, len(data), 4096):
        page = data[start:start + 4096]
        if any(page):
            disk[offset + start:offset + start + len(page)] = page


@settings(deadline=None)  # it makes files
@given(st.lists(GOOD | ANY, max_size=6))
def test_disks_hold_what_the_good_frames_say(sequence):
    expected = [bytearray(size + LONGER) for size in SIZES]
    digests = [DiskDigest() for _size in SIZES]
    good = True
    for kind, disk, offset, data, flip in sequence:
        try:
            frame = frames.parse(frames.HEADER.pack(kind, disk, len(data), offset), SIZES)
        except EndpointError:
            good = False
        if not good or frame.kind == frames.END or flip:
            break
        write(expected[disk], offset, data)
        digests[disk].add(offset, len(data), zlib.crc32(data).to_bytes(4, "big"))
    contents, outcome = stored(b"".join(packed(*each) for each in sequence))
    assert contents == [bytes(each) for each in expected]
    if isinstance(outcome, EndpointError):
        return
    assert good and [digest.hexdigest() for digest in outcome[0]] == [digest.hexdigest() for digest in digests]


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_noise_writes_nothing_but_a_frame_with_its_checksum(data):
    contents, outcome = stored(data)
    assert isinstance(outcome, EndpointError) and not any(content.strip(b"\0") for content in contents)


@pytest.mark.parametrize("name", ["END", "DATA"])
def test_kinds_are_told_apart(name):
    contents, outcome = stored(packed(getattr(frames, name), 0, 0, b"x" if name == "DATA" else b"") + packed(frames.END, 0, 0, b""))
    assert not isinstance(outcome, EndpointError) and contents[0][:1] == (b"x" if name == "DATA" else b"\0")
