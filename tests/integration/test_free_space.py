# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Moves that leave out what a guest's file systems say is free, on nodes as they are: the reader is confined there, or nothing is skipped."""

from __future__ import annotations

import pytest

from .lab import STORAGE

MIB = 1024 * 1024
SIZE = 256 * MIB
MAKE = """\
set -e
mkfs.ext4 -q -F -b 4096 "$0"
dir=$(mktemp -d)
trap 'rm -r "$dir"' EXIT
for number in $(seq 40); do
  head -c $((100000 + number * 60000)) /dev/urandom >"$dir/$number"
  echo "write $dir/$number file$number" >>"$dir/commands"
done
for number in $(seq 1 2 40); do echo "rm file$number" >>"$dir/commands"; done
debugfs -w -f "$dir/commands" "$0" >"$dir/said" 2>&1
"""
"""Makes a file system with 40 files, some 53 MB, and removes every second again; what was in these stays in free blocks."""

DIGESTS = 'for number in $(seq 2 2 40); do debugfs -R "cat /file$number" "$0" 2>/dev/null | sha256sum; done'
USED = "dumpe2fs -h \"$0\" 2>/dev/null | awk -F: '/^Block count/ { all = $2 } /^Free blocks/ { free = $2 } END { print (all - free) * 4096 }'"


@pytest.fixture
def aged(lab, instance, way):
    """An instance whose disk has an aged file system, and that disk's file."""
    name = instance(data=0, start=False)
    path = lab.run(way.source, "sh", "-c", f"ls {STORAGE}/{name}/*.disk0").strip()
    lab.run(way.source, "sh", "-c", MAKE, path)
    return name, path


def disk(lab, node, name):
    """The file of an instance's disk on a node, and the bytes that are allocated for it."""
    path, blocks = lab.run(node, "sh", "-c", f"stat --format='%n %b' {STORAGE}/{name}/*.disk0").split()
    return path, int(blocks) * 512


def test_what_is_free_is_not_moved(lab, aged, move, way):
    name, path = aged
    used = int(lab.run(way.source, "sh", "-c", USED, path))
    files = lab.run(way.source, "sh", "-c", DIGESTS, path)
    before = disk(lab, way.source, name)[1]

    moved = move(skip_free_space=True, verify="readback", **way.node).result()
    assert moved["changed"] and not moved["failed"], moved
    (told,) = moved["free_space_skipped"]
    assert told == {"disk": 0, "partition": "whole disk", "file_system": "ext4", "size": SIZE, "skipped": SIZE - used, "reason": None}
    copy, allocated = disk(lab, way.destination, name)
    assert moved["payload"] <= 1.02 * used and allocated <= 1.02 * used
    assert moved["payload"] < before - 20 * MIB, "what the removed files have left in free blocks was sent"
    assert lab.run(way.destination, "sh", "-c", DIGESTS, copy) == files and len(set(files.split())) > 20
    lab.run(way.destination, "e2fsck", "-f", "-n", copy)
    assert lab.endpoints(name, way.source, way.destination) == []


def test_all_of_what_was_not_unmounted_is_moved(lab, aged, move, way):
    name, path = aged
    lab.run(way.source, "debugfs", "-w", "-R", "feature needs_recovery", path)
    digests = lab.digests(way.source, name)

    moved = move(skip_free_space=True, **way.node).result()
    assert moved["changed"] and not moved["failed"], moved
    (told,) = moved["free_space_skipped"]
    assert told["skipped"] == 0 and "not unmounted in order" in told["reason"]
    assert lab.digests(way.destination, name)["0"][0] == digests["0"][0]
