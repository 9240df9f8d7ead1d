"""Prints, as JSON, what the cluster is whose master this node is: asked from Ganeti and from what is installed, never from a name."""

import json
import platform
import socket
import subprocess

LUXI = "/var/run/ganeti/socket/ganeti-query"
FIELDS = {
    "master": "master",
    "ganeti": "software_version",
    "config_version": "config_version",
    "hypervisors": "enabled_hypervisors",
    "disk_templates": "enabled_disk_templates",
    "file_storage_dir": "file_storage_dir",
    "shared_file_storage_dir": "shared_file_storage_dir",
    "hvparams": "hvparams",
}


def cluster():
    """What Ganeti says of the cluster; the version in the request is not looked at."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(LUXI)
        connection.sendall(json.dumps({"method": "QueryClusterInfo", "args": [], "version": None}).encode() + b"\3")
        answer = b""
        while not answer.endswith(b"\3"):
            part = connection.recv(65536)
            if not part:
                raise SystemExit("Ganeti closed the connection.")
            answer += part
    said = json.loads(answer[:-1])
    if not said["success"]:
        raise SystemExit(f"Ganeti does not tell: {said['result']}")
    return said["result"]


def installed(package):
    """The version of a Debian package."""
    return subprocess.run(["dpkg-query", "--show", "--showformat=${Version}", package], check=True, capture_output=True, text=True).stdout


info = cluster()
found = {name: info[field] for name, field in FIELDS.items()}
found.update(python=platform.python_version(), qemu=installed("qemu-system-x86"), debian=installed("base-files"))
print(json.dumps(found))
