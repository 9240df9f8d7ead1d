"""Disks for Ganeti's template ext: files below /srv/ganeti/extstorage of the node, each seen through a loop device.

Usage: loopdev create | attach | detach | remove | grow | setinfo | verify [FILE], with the variables that Ganeti sets for a provider's scripts.

Loop devices are the machine's, and all nodes and all labs see every one of them. Hence the rules:
* A device is ours only if the file behind it is ours, by device and inode number. Its number means nothing.
* One device is detached, the one found so; nothing is ever done to all.
* The kernel makes devices as they are asked for. A container's /dev has no node for them, so it is made when it is needed.
"""

import errno
import fcntl
import os
import re
import stat
import struct
import sys
import time
from pathlib import Path

DIRECTORY = "/srv/ganeti/extstorage"
MIB = 1024 * 1024
PATIENCE = 20  # seconds for whoever still has the device open
# linux/loop.h
CONTROL = "/dev/loop-control"
GET_FREE = 0x4C82
CONFIGURE = 0x4C0A
GET_STATUS = 0x4C05
SET_CAPACITY = 0x4C07
CLEAR = 0x4C01
INFO = struct.Struct("=5Q4I64s64s32s2Q")  # struct loop_info64
CONFIG = struct.Struct(f"=2I{INFO.size}s8Q")  # struct loop_config


def node(name):
    """The path of a block device, in a /dev that may not have it yet."""
    path = f"/dev/{name}"
    if not os.path.exists(path):
        major, minor = Path(f"/sys/block/{name}/dev").read_text().strip().split(":")
        try:
            os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(int(major), int(minor)))
        except FileExistsError:
            pass
    return path


def behind(name):
    """The path of the file behind a loop device, as the kernel tells it; None where there is none."""
    try:
        return Path(f"/sys/block/{name}/loop/backing_file").read_text().rstrip("\n")
    except (FileNotFoundError, OSError):
        return None


def is_behind(path, device):
    """Whether this file is the one behind a loop device."""
    with open(device, "rb") as opened:
        try:
            answer = fcntl.ioctl(opened, GET_STATUS, bytes(INFO.size))
        except OSError as error:
            if error.errno == errno.ENXIO:  # it has just been detached
                return False
            raise
    major_minor, inode = INFO.unpack(answer)[:2]
    found = os.stat(path)
    major, minor = os.major(found.st_dev), os.minor(found.st_dev)
    return (major_minor, inode) == (major << 8 | minor & 0xFF | (minor & ~0xFF) << 12, found.st_ino)


def attached(path):
    """The name of the loop device with this file behind it, or None. Only devices whose file has the same name are opened."""
    for name in sorted(entry.name for entry in Path("/sys/block").glob("loop*")):
        shown = behind(name)
        if shown is not None and os.path.basename(shown) == os.path.basename(path) and is_behind(path, node(name)):
            return name
    return None


def attach(path):
    """Attach the file, if it is not; return the device's path. One at a time for each file, and no other takes the device between."""
    with open(path, "rb") as lock, open(path, "r+b", buffering=0) as backing, open(CONTROL, "r+b", buffering=0) as control:
        fcntl.flock(lock, fcntl.LOCK_EX)
        name = attached(path)
        while name is None:
            candidate = f"loop{fcntl.ioctl(control, GET_FREE)}"
            info = INFO.pack(0, 0, 0, 0, 0, 0, 0, 0, 0, os.path.basename(path).encode()[:63], b"", b"", 0, 0)
            with open(node(candidate), "r+b", buffering=0) as device:
                try:
                    fcntl.ioctl(device, CONFIGURE, CONFIG.pack(backing.fileno(), 0, info, *[0] * 8))
                except OSError as error:
                    if error.errno != errno.EBUSY:
                        raise
                    continue  # another process was faster
            name = candidate
    return node(name)


def detach(path):
    """Detach the file, if it is attached, and wait until it is: the kernel puts it off while somebody has the device open."""
    if not os.path.exists(path):
        return
    with open(path, "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        name = attached(path)
        if name is None:
            return
        with open(node(name), "rb") as device:
            fcntl.ioctl(device, CLEAR)
        deadline = time.monotonic() + PATIENCE
        while attached(path) == name:
            if time.monotonic() > deadline:
                raise SystemExit(f"/dev/{name}, behind which is {path}, is still in use.")
            time.sleep(0.05)


def create(path):
    """Make the file, of exactly VOL_SIZE MiB."""
    verify(path)
    size = int(os.environ["VOL_SIZE"]) * MIB
    with open(path, "xb") as made:
        made.truncate(size)
        if os.environ.get("EXTP_ALLOCATION") == "full":
            os.posix_fallocate(made.fileno(), 0, size)


def grow(path):
    """Make the file VOL_NEW_SIZE MiB long; the device follows."""
    size = int(os.environ["VOL_NEW_SIZE"]) * MIB
    with open(path, "r+b") as made:
        if size < os.fstat(made.fileno()).st_size:
            raise SystemExit(f"{path} is larger than {size} bytes already.")
        made.truncate(size)
    name = attached(path)
    if name is not None:
        with open(node(name), "rb") as device:
            fcntl.ioctl(device, SET_CAPACITY)


def remove(path):
    """Detach and remove the file."""
    detach(path)
    for each in (path, f"{path}.info"):
        Path(each).unlink(missing_ok=True)


def setinfo(path):
    """Keep what Ganeti wants to be noted beside the volume."""
    Path(f"{path}.info").write_text(os.environ.get("VOL_METADATA", "") + "\n")


def verify(path):
    """Check the parameters."""
    allocation = os.environ.get("EXTP_ALLOCATION", "sparse")
    if allocation not in ("sparse", "full"):
        raise SystemExit(f"The parameter allocation is sparse or full, not {allocation}.")


COMMANDS = {each.__name__: each for each in (create, attach, detach, remove, grow, setinfo, verify)}


def main():
    """Run a command on the volume that Ganeti names, or on any file."""
    if len(sys.argv) not in (2, 3) or sys.argv[1] not in COMMANDS:
        raise SystemExit(__doc__)
    path = sys.argv[2] if len(sys.argv) == 3 else f"{DIRECTORY}/{os.environ.get('VOL_NAME', '')}"
    if not re.fullmatch(r"/[-/.\w]*[-\w]", path):
        raise SystemExit(f"{path} is no path of a volume.")
    answer = COMMANDS[sys.argv[1]](path)
    if answer is not None:
        print(answer)


if __name__ == "__main__":
    main()
