# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reader's process as it runs on nodes: what it may do, which is nearly nothing, and what it says. This needs root, as nodes and CI have it."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.stream.boot import BOOT, framed
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.map_reader import program
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps.ranges import length_of

from . import images
from .images import MIB

PROBE = """
import ctypes, json, mmap, os, resource, socket, sys

def tried(what):
    try:
        return repr(what())
    except Exception as error:
        return type(error).__name__ + ": " + str(error)
def look():
    libc = ctypes.CDLL(None, use_errno=True)
    def call(name, *arguments):
        if getattr(libc, name)(*arguments) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return "done"
    found = {
        "read": tried(lambda: os.pread(DISK, 4, 0)),
        "write": tried(lambda: os.pwrite(DISK, b"x", 0)),
        "again": tried(lambda: os.open("/proc/self/fd/%d" % DISK, os.O_RDWR)),
        "open": tried(lambda: os.open("/etc/passwd", os.O_RDONLY)),
        "make": tried(lambda: os.open("/file", os.O_RDWR | os.O_CREAT)),
        "directory": tried(lambda: os.mkdir("/directory")),
        "connect": tried(lambda: socket.create_connection(("127.0.0.1", PORT))),
        "socket": tried(lambda: socket.socket(socket.AF_INET)),
        "unix": tried(lambda: socket.socket(socket.AF_UNIX)),
        "fork": tried(lambda: os.fork() or os._exit(0)),
        "kill": tried(lambda: os.kill(PARENT, 0)),
        "root": tried(lambda: os.setuid(0)),
        "user namespace": tried(lambda: call("unshare", 0x10000000)),
        "mounts": tried(lambda: call("unshare", 0x20000)),
        "list": tried(lambda: os.listdir("/")),
        "mount": tried(lambda: call("mount", b"none", b"/", b"tmpfs", 0, None)),
        "chroot": tried(lambda: os.chroot("/")),
        "users": tried(lambda: (os.getresuid(), os.getresgid(), os.getgroups())),
        "pid": tried(os.getpid),
        "limits": tried(lambda: [resource.getrlimit(kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC)]),
        "memory": tried(lambda: len(mmap.mmap(-1, 1 << 30))),
    }
    os.write(1, json.dumps(found).encode())
    return 7
sys.exit(ganeti_maps.confine.confined(look, print))
"""

LOADED = program().rpartition("\nsys.exit(")[0] + "\nimport os, signal, ganeti_maps.confine\n"
"""The program with all that it is made of, which is then not run."""


def run(text, request=b"", descriptors=(), **options):
    """Run a program as the sender starts the reader."""
    argv = [sys.executable, "-I", "-c", BOOT]
    return subprocess.run(argv, input=framed(text.encode()) + request, pass_fds=descriptors, capture_output=True, timeout=60, check=False, **options)


def read(*paths, **options):
    """What the reader says of disks."""
    descriptors = [os.open(path, os.O_RDONLY) for path in paths]
    try:
        request = json.dumps({"disks": [(each, os.fstat(each).st_size) for each in descriptors]}).encode() + b"\n"
        done = run(program(), request, descriptors, **options)
    finally:
        for each in descriptors:
            os.close(each)
    return done, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(params=[True, False], ids=["with limits", "without limits"])
def inside(request, tmp_path):
    """What a confined process can do; also without limits, which alone keep it from opening anything."""
    path = tmp_path / "disk"
    path.write_bytes(b"some" + bytes(100))
    os.chmod(path, 0o600)
    descriptor = os.open(path, os.O_RDONLY)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        values = {"DISK": descriptor, "PARENT": os.getpid(), "PORT": listener.getsockname()[1]}
        text = "".join(f"{name} = {value}\n" for name, value in values.items()) + PROBE
        if not request.param:
            text = f"ganeti_maps.confine._limit = lambda: None\n{text}"
        done = run(f"{LOADED}\n{text}", descriptors=[descriptor])
    os.close(descriptor)
    assert done.returncode == 7, done.stderr.decode()
    return request.param, json.loads(done.stdout)


def test_a_confined_process_reads_its_disks_and_does_nothing_else(inside):
    limited, found = inside
    assert found.pop("read") == "b'some'"
    assert found.pop("users") == "((65534, 65534, 65534), (65534, 65534, 65534), [])"
    assert found.pop("pid") == "1"
    if limited:
        assert found.pop("limits") == "[(0, 0), (0, 0), (0, 0)]"
    else:
        assert found.pop("list") == "[]"
        for harmless in ("limits", "memory", "fork", "socket", "unix"):
            del found[harmless]
        assert "No such file" in found["open"] and "No such file" in found["again"] and "Read-only" in found["directory"]
    assert {name: said for name, said in found.items() if "Error" not in said} == {}


def test_the_reader_tells_what_is_free_and_ends_with_done(tmp_path):
    first, second = images.ext(tmp_path / "first", 24 * MIB), images.empty(tmp_path / "second", MIB)
    for path in (first, second):
        os.chmod(path, 0o600)
    done, said = read(first, second)
    assert done.returncode == 0 and done.stderr == b"" and said[0] == {"confined": True} and said[-1] == {"done": True}
    told = [(each["disk"], each["part"]["file_system"], each["part"]["skipped"]) for each in said if "part" in each]
    free = [pair for each in said if "free" in each for pair in each["free"]]
    assert told == [(0, "ext4", length_of(free)), (1, None, 0)] and length_of(free) > 10 * MIB


def test_nothing_is_free_on_any_disk_where_a_system_sleeps_on_one(tmp_path):
    first, second = images.ext(tmp_path / "first", 24 * MIB), images.patched(images.empty(tmp_path / "second", MIB), 4086, b"S1SUSPEND\0")
    _done, said = read(first, second)
    told = [(each["disk"], each["part"]["reason"]) for each in said if "part" in each]
    assert told == [(number, "the system sleeps: it was hibernated") for number in (0, 1)]
    assert not [each for each in said if "free" in each]


def test_who_cannot_be_confined_reads_nothing(tmp_path):
    """As on a node where root has been robbed of the right to make namespaces."""
    path = images.ext(tmp_path / "disk", 24 * MIB)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        request = json.dumps({"disks": [(descriptor, 24 * MIB)]}).encode() + b"\n"
        argv = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", sys.executable, "-I", "-c", BOOT]
        done = subprocess.run(argv, input=framed(program().encode()) + request, pass_fds=[descriptor], capture_output=True, timeout=60, check=False)
    finally:
        os.close(descriptor)
    assert done.returncode == 1
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"unconfined": "unshare: Operation not permitted"}]


@pytest.mark.parametrize("step", ["_empty_root", "_limit", "_drop"])
def test_a_step_that_fails_is_told_and_nothing_is_read(tmp_path, step):
    path = images.ext(tmp_path / "disk", 24 * MIB, files=False)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        request = json.dumps({"disks": [(descriptor, 24 * MIB)]}).encode() + b"\n"
        text = f"{LOADED}def fail():\n    raise OSError(22, 'not here')\nganeti_maps.confine.{step} = fail\nsys.exit(sys.modules['ganeti_maps.main'].main())"
        done = run(text, request, [descriptor])
    finally:
        os.close(descriptor)
    assert done.returncode == 1
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"unconfined": "[Errno 22] not here"}]


def test_the_reader_ends_with_who_has_started_it():
    """It waits for its request; the kernel ends it, be it confined or not."""
    starter = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-I', '-c', {BOOT!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
    text = f"{LOADED}def wait():\n    os.write(1, b'here')\n    signal.pause()\n    return 0\nsys.exit(ganeti_maps.confine.confined(wait, print))\n"
    starter += f"p.stdin.write({framed(text.encode())!r}); p.stdin.flush(); print(p.pid, p.stdout.read(4).decode(), flush=True); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", starter], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pid, word = process.stdout.readline().split()
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as stream:
        (child,) = stream.read().split()
    watch = [os.pidfd_open(int(each)) for each in (pid, child)]
    process.kill()
    process.communicate()
    assert word == "here"
    for each in watch:
        assert ended(each)
        os.close(each)


def ended(descriptor):
    """Wait until a process has ended."""
    return bool(select.select([descriptor], [], [], 30)[0])
