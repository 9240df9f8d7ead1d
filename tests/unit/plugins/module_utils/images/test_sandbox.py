# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a program can do that is confined: read its files, and nothing else."""

from __future__ import annotations

import json
import os
import socket
import time

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ImageFailed, ImageRefused
from ansible_collections.ganeti.cluster.plugins.module_utils.images import qemu, sandbox
from ansible_collections.ganeti.cluster.plugins.module_utils.images.look import look
from ansible_collections.ganeti.cluster.plugins.module_utils.images.sandbox import Limits, Shared

from . import samples
from .samples import MIB

pytestmark = pytest.mark.functional

PYTHON = "/usr/bin/python3"
TRY = """
import ctypes, json, os, socket, sys
def tried(what):
    try:
        return what() or True
    except (OSError, MemoryError) as error:
        return type(error).__name__ + ": " + str(error)
def network():
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
libc = ctypes.CDLL(None, use_errno=True)
print(json.dumps({
    "root": sorted(os.listdir("/")),
    "user": [os.getuid(), os.getgid()],
    "processes": os.getpid(),
    "environment": sorted(os.environ),
    "descriptors": [number for number in range(3, 1024) if not isinstance(tried(lambda: os.fstat(number)), str)],
    "read": tried(lambda: open("/images/image").read(3)),
    "write_image": tried(lambda: open("/images/image", "r+")),
    "write_beside": tried(lambda: open("/images/new", "w")),
    "write_root": tried(lambda: open("/new", "w")),
    "write_target": tried(lambda: open("/target/disk", "r+").truncate(10)),
    "write_too_much": tried(lambda: open("/target/disk", "r+").truncate(100000)),
    "passwd": tried(lambda: open("/etc/passwd").read()),
    "elsewhere": tried(lambda: open(sys.argv[2]).read()),
    "network": tried(network),
    "namespace": libc.unshare(0x10000000),
    "become_root": tried(lambda: os.setuid(0)),
    "mount": libc.mount(b"none", b"/images", b"tmpfs", 0, None),
    "memory": tried(lambda: len(bytearray(3 << 30))),
}))
"""


def files(tmp_path, *names):
    """Files with something in them."""
    for name in names:
        (tmp_path / name).write_text("abc")
        (tmp_path / name).chmod(0o600)
    return [tmp_path / name for name in names]


def shared(path, inside, **more):
    return Shared(str(path), os.stat(path, follow_symlinks=False), inside, **more)


def test_a_confined_program_has_its_files_and_nothing_else(tmp_path):
    image, target, other = files(tmp_path, "image", "target", "other")
    with socket.create_server(("127.0.0.1", 0)) as server:
        lines = []
        inside = [shared(image, "/images/image"), shared(target, "/target/disk", writable=True)]
        ended = sandbox.run(PYTHON, ["-c", TRY, str(server.getsockname()[1]), str(other)], inside, lines.append, Limits(60, largest=1000))
    assert ended == (0, ""), ended
    found = json.loads(lines[0])
    assert found["root"] == ["dev", "images", "lib", "lib64", "program", "target", "usr"] and found["user"] == [65534, 65534] and found["processes"] < 5
    assert found["descriptors"] == []
    assert set(found["environment"]) <= {"LC_ALL", "PWD", "LC_CTYPE"} and found["read"] == "abc" and found["write_target"] == 10
    for what in ("write_image", "write_beside", "write_root"):
        assert "OSError: [Errno 30]" in found[what] or "PermissionError" in found[what], found
    assert "FileNotFoundError" in found["passwd"] and "FileNotFoundError" in found["elsewhere"]
    assert "Error" in found["network"] and "MemoryError" in found["memory"] and "Error" in found["become_root"]
    assert found["namespace"] == found["mount"] == -1 and "OSError" in found["write_too_much"]
    assert [path.read_bytes() for path in (image, other)] == [b"abc", b"abc"] and target.stat().st_size == 10


def test_a_file_that_is_not_the_checked_one_is_not_shown(tmp_path):
    image, other = files(tmp_path, "image", "other")
    seen = shared(image, "/images/image")
    with open(image, "rb"):  # as an image is, so that no other file gets its number
        os.replace(other, image)
        with pytest.raises(ImageRefused, match="was replaced after it was checked"):
            sandbox.run(PYTHON, ["-c", "print(1)"], [seen], print, Limits(60))
        image.unlink()
        image.symlink_to("/etc/shadow")
        with pytest.raises(ImageRefused, match="was replaced after it was checked"):
            sandbox.run(PYTHON, ["-c", "print(1)"], [seen], print, Limits(60))


def test_it_may_have_as_many_files_as_an_image_has(tmp_path):
    """Their names together are longer than one argument may be."""
    place = tmp_path / ("x" * 150)
    place.mkdir()
    names = [f"{'e' * 60}{number:03}" for number in range(512)]
    seen = [shared(path, f"/images/{path.name}") for path in files(place, *names)]
    lines = []
    ended = sandbox.run(PYTHON, ["-c", "import os, sys; print(len(os.listdir('/images'))); print(repr(sys.stdin.read()))"], seen, lines.append, Limits(60))
    assert ended == (0, "") and lines == ["512", "''"]


def test_one_that_is_silent_or_repeats_itself_is_ended():
    began = time.monotonic()
    for program in ("import time; time.sleep(600)", "import time\nwhile True: print('(1.00/100%)', flush=True); time.sleep(0.3)"):
        with pytest.raises(ImageFailed, match="made no progress for 2 seconds"):
            sandbox.run(PYTHON, ["-c", program], [], lambda _line: None, Limits(2))
    assert time.monotonic() - began < 300


def test_one_that_has_too_much_to_say_is_ended(monkeypatch):
    monkeypatch.setattr(sandbox, "_OUTPUT", 10_000)
    for program in ("for n in range(10**9): print(n)", "print('x' * 10**6)"):
        with pytest.raises(ImageRefused, match="more about the image than"):
            sandbox.run(PYTHON, ["-c", program], [], lambda _line: None, Limits(60))
    ended = sandbox.run(PYTHON, ["-c", "import sys; sys.stderr.write('\\x1b[31m' + 'x' * 10**6); sys.exit(3)"], [], print, Limits(60))
    assert ended.status == 3 and len(ended.said) == 500 and ended.said.isprintable()


def test_its_time_of_a_processor_has_an_end():
    ended = sandbox.run(PYTHON, ["-c", "while True: pass"], [], print, Limits(300, processor=1))
    assert ended.status != 0


def test_what_a_node_lacks_is_named_with_its_package(tmp_path, monkeypatch):
    path = samples.converted(samples.raw(tmp_path / "a"), tmp_path / "b", "qcow2")
    find = sandbox.find
    monkeypatch.setattr(sandbox, "find", lambda program: None if program == "bwrap" else find(program))
    with look(str(path), "auto") as image, pytest.raises(ImageRefused, match="bwrap is not on this node: install bubblewrap"):
        qemu.check(image)
    monkeypatch.setattr(sandbox, "find", lambda program: None)
    assert qemu.unusable() == "bwrap and qemu-img are not on this node: install bubblewrap and qemu-utils"


def test_where_bwrap_fails_nothing_is_run(tmp_path, monkeypatch):
    path = samples.converted(samples.raw(tmp_path / "a"), tmp_path / "b", "qcow2")
    argv = sandbox._bwrap
    monkeypatch.setattr(sandbox, "_bwrap", lambda program, given: [argv(program, given)[0], "--no-such-option", *argv(program, given)[1:]])
    with look(str(path), "auto") as image, pytest.raises(ImageRefused, match=r"this node cannot confine it \(bwrap: Unknown option"):
        qemu.check(image)


def test_what_the_headers_hide_from_us_is_not_there_for_qemu_either(tmp_path):
    """The second wall: were the first one passed, qemu-img would find nothing."""
    secret = tmp_path / "elsewhere" / "secret"
    secret.parent.mkdir()
    secret.write_bytes(b"secret".ljust(2048, b"."))
    target = tmp_path / "target"
    target.write_bytes(b"")
    os.truncate(target, MIB)
    paths = [samples.descriptor(tmp_path / "a", f'RW 4 FLAT "{secret}" 0'), samples.descriptor(tmp_path / "b", 'RW 4 FLAT "elsewhere/secret" 0')]
    paths.append(tmp_path / "c")
    samples.qemu_img("create", "-f", "qcow2", "-b", secret, "-F", "raw", paths[-1])
    for path in paths:
        with look(str(path), "auto") as image:
            assert image.facts.outside
            image.facts.outside.clear()
            with pytest.raises(ImageFailed, match=r"qemu-img cannot convert .*No such file or directory"):
                qemu.convert(image, shared(target, ""), MIB)
    assert b"secret" not in target.read_bytes()
