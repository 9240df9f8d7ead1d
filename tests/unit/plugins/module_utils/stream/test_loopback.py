# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two endpoints as they run on nodes, made from the bundle, on this machine's loopback."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.stream import bundle, frames, tls

from .endpoints import MIB, MOVE, Intruder, disk, empty, requests, transfer

pytestmark = pytest.mark.functional


@pytest.mark.parametrize(
    ("tool", "lanes", "checksum", "readback"),
    [("none", 1, "crc32", False), ("none", 3, "crc32", False), ("gzip", 2, "crc32", False), ("none", 2, "sha256", True)],
)
def test_disks_arrive_byte_for_byte(endpoints, keys, tmp_path, tool, lanes, checksum, readback):
    sizes = [40 * MIB, 5 * MIB + 512, 4 * MIB]
    sources = [disk(tmp_path / f"source{index}", size, index) for index, size in enumerate(sizes)]
    sources.append(empty(tmp_path / "nothing", MIB))
    targets = [empty(tmp_path / f"target{index}", os.stat(path).st_size) for index, path in enumerate(sources)]
    sent, received = transfer(endpoints, *requests(keys, sources, targets, tool, lanes, checksum, readback))
    assert (sent["event"], received["event"]) == ("finished", "finished")
    assert sent["digests"] == received["digests"] and len(set(sent["digests"])) == 4
    for source, target in zip(sources, targets):
        with open(source, "rb") as one, open(target, "rb") as other:
            assert one.read() == other.read()
        # 32 KiB more: the file system's own list of a file's parts depends on the order of writing.
        assert os.stat(target).st_blocks <= os.stat(source).st_blocks + 64
    assert sent["payload"] < sum(sizes)


def test_what_was_on_the_target_is_gone(endpoints, keys, tmp_path):
    source, target = disk(tmp_path / "source", 20 * MIB, 1, pieces=3), disk(tmp_path / "target", 20 * MIB, 2)
    sent, received = transfer(endpoints, *requests(keys, [source], [target]))
    assert sent["digests"] == received["digests"]
    with open(source, "rb") as one, open(target, "rb") as other:
        assert one.read() == other.read()


def test_two_different_disks_have_different_digests(endpoints, keys, tmp_path):
    results = []
    for seed in (1, 2):
        source, target = disk(tmp_path / f"s{seed}", MIB, seed), empty(tmp_path / f"t{seed}", MIB)
        results.append(transfer(endpoints, *requests(keys, [source], [target]))[0]["digests"])
    assert results[0] != results[1]


@pytest.mark.parametrize("tool", ["none", "gzip"])
def test_a_full_disk_is_told_by_the_end_that_knows(endpoints, keys, tmp_path, tool):
    source, target = disk(tmp_path / "source", 20 * MIB, 1), empty(tmp_path / "target", 20 * MIB)
    sent, received = transfer(endpoints, *requests(keys, [source], [target], tool), limit=MIB)
    assert received["event"] == sent["event"] == "failed"
    assert received["message"].startswith(f"Cannot write to {target} on the destination node: ") and not received["secondary"]
    assert sent["secondary"]


def test_a_missing_tool_is_named(endpoints, keys, tmp_path):
    source, target = disk(tmp_path / "source", MIB, 1), empty(tmp_path / "target", MIB)
    ends = transfer(endpoints, *requests(keys, [source], [target], "no-such-tool"))
    told = [end["message"] for end in ends if not end["secondary"]]  # neither has it, and either may be the first to notice
    assert told and all("The compression tool no-such-tool is not on this node" in message for message in told)


def test_a_disk_that_is_too_small_is_refused(endpoints, keys, tmp_path):
    source, target = disk(tmp_path / "source", 2 * MIB, 1), empty(tmp_path / "target", MIB)
    receiver = endpoints(requests(keys, [source], [target])[1])
    assert receiver.last()["message"] == f"The disk {target} holds {MIB} bytes, not the {2 * MIB} that were agreed."


def test_a_disk_must_be_a_file_or_a_device(endpoints, keys, tmp_path):
    source = disk(tmp_path / "source", MIB, 1)
    receiver = endpoints(requests(keys, [source], ["/dev/null"])[1])
    assert "is neither a file nor a block device" in receiver.last()["message"]


def test_the_end_of_the_controller_is_the_end_of_the_endpoint(endpoints, keys, tmp_path):
    source, target = disk(tmp_path / "source", MIB, 1), empty(tmp_path / "target", MIB)
    receiver = endpoints(requests(keys, [source], [target])[1])
    receiver.until("listening")
    receiver.process.stdin.close()
    assert receiver.process.wait(timeout=60) == 1
    assert json.loads(receiver.process.stdout.readlines()[-1])["message"] == "The controller is gone."


@pytest.mark.parametrize(
    ("header", "payload", "checksum", "words"),
    [
        ((frames.DATA, 0, 4096, MIB), bytes(4096), b"....", "behind the end of disk 0"),
        ((frames.DATA, 1, 4096, 0), bytes(4096), b"....", "names disk 1"),
        ((frames.DATA, 0, 4096, 0), b"x" * 4096, b"....", "arrived damaged at byte 0"),
    ],
)
def test_the_receiver_believes_nothing(endpoints, keys, tmp_path, header, payload, checksum, words):
    source, target = disk(tmp_path / "source", MIB, 1), empty(tmp_path / "target", MIB)
    receiver = endpoints(requests(keys, [source], [target], lanes=1)[1])
    sender = Intruder(receiver.until("listening")["port"], keys[0], tls.certificate_names(MOVE)[1])
    data = frames.pack_hello(MOVE, 0, 1) + frames.HEADER.pack(*header) + checksum + payload
    assert sender.speak(data) == frames.ACCEPTED
    assert words in receiver.last()["message"]
    with open(target, "rb") as stream:
        assert not any(stream.read())


def test_a_stream_cut_short_is_a_failure(endpoints, keys, tmp_path):
    source, target = disk(tmp_path / "source", MIB, 1), empty(tmp_path / "target", MIB)
    receiver = endpoints(requests(keys, [source], [target], lanes=1)[1])
    assert Intruder(receiver.until("listening")["port"], keys[0], tls.certificate_names(MOVE)[1]).speak(frames.pack_hello(MOVE, 0, 1)) == frames.ACCEPTED
    final = receiver.last()
    assert final["event"] == "failed" and "broke" in final["message"]


def test_only_tls_1_3_is_spoken(endpoints, keys, tmp_path):
    source, target = disk(tmp_path / "source", MIB, 1), empty(tmp_path / "target", MIB)
    receiver = endpoints(requests(keys, [source], [target], lanes=1)[1])
    intruder = Intruder(receiver.until("listening")["port"], keys[0], tls.certificate_names(MOVE)[1])
    intruder.context.minimum_version = ssl.TLSVersion.TLSv1_2
    intruder.context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert intruder.speak(frames.pack_hello(MOVE, 0, 1)) is None


def test_a_suite_of_tls_1_3_can_be_chosen(endpoints, keys, tmp_path):
    source, target = disk(tmp_path / "source", 4 * MIB, 1), empty(tmp_path / "target", 4 * MIB)
    sent, received = transfer(endpoints, *requests(keys, [source], [target]), suites=["TLS_CHACHA20_POLY1305_SHA256"])
    assert sent["digests"] == received["digests"]
    assert sent["tls"] == received["tls"] == [["TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256", 256]]


def test_ciphers_are_refused_by_each_end_whose_node_does_not_allow_them(endpoints, keys, tmp_path):
    """This machine is no node of a cluster that allows it; the ends do not ask what their caller allows."""
    paths = disk(tmp_path / "source", MIB, 1), empty(tmp_path / "target", MIB)
    send, receive = ({**request, "ciphers": ["ECDHE-ECDSA-AES128-SHA"]} for request in requests(keys, [paths[0]], [paths[1]]))
    for request in (receive, send):
        refused = endpoints(request).last()
        assert refused["event"] == "failed" and "does not allow moves to choose ciphers" in refused["message"]


def test_the_bundle_needs_the_standard_library_only():
    """With -I and -S there is nothing else to import."""
    process = subprocess.run(
        [sys.executable, "-I", "-S", "-c", bundle.BOOT],
        input=bundle.bundle() + b'{"command": "examine", "tools": ["gzip"], "directory": "/nowhere/at/all"}\n',
        capture_output=True, check=True, timeout=30,
    )  # fmt: skip
    answer = json.loads(process.stdout)
    assert answer["event"] == "finished" and answer["tools"] == {"gzip": True}
    assert answer["python"] == list(sys.version_info[:3]) and answer["free"] > 0


def wait_for_lanes(pid, count):
    """Wait until an endpoint has forked its lanes."""
    for _try in range(100):
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as stream:
            if len(stream.read().split()) == count:
                return
        time.sleep(0.1)
    raise AssertionError(f"{pid} has not {count} children")


def open_file(link):
    """What a descriptor's link points to; nothing where it was closed since it was listed."""
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""


def test_keys_are_never_written_to_a_file(endpoints, keys, tmp_path):
    """No file that the endpoint holds open has a name, and no argument holds a key."""
    source, target = disk(tmp_path / "source", MIB, 1), empty(tmp_path / "target", MIB)
    receiver = endpoints(requests(keys, [source], [target], lanes=1)[1])
    receiver.until("listening")
    process = f"/proc/{receiver.process.pid}"
    wait_for_lanes(receiver.process.pid, 0)  # by then it opens and closes nothing any more
    links = [open_file(f"{process}/fd/{number}") for number in os.listdir(f"{process}/fd")]
    named = {link for link in links if link.startswith("/") and not link.startswith(("/memfd:", "/proc/"))}  # what is in /proc is on no disk
    assert named <= {target}
    with open(f"{process}/cmdline", "rb") as stream:
        assert b"PRIVATE KEY" not in stream.read()
