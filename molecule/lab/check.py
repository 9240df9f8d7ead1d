"""Says what is wrong with the lab, or with the clusters named, one line each; run it inside `engine in`. Success means that nothing is.

A line begins with the cluster's name, or with "lab" where all of it is meant. The lab is well when it was made from this
checkout's description; a cluster is when sshd answers on every node, Ganeti on its master gets an answer from all its nodes,
and RAPI answers to the certificate and password at hand.
"""

from __future__ import annotations

import base64
import json
import os
import pathlib
import ssl
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor

PATIENCE = 20  # seconds, on a machine that is busy with something else


def ssh(lab: dict, host: str, *command: str) -> str:
    return subprocess.run(
        ["ssh", "-F", lab["ssh_config"], "-o", f"ConnectTimeout={PATIENCE // 2}", host, *command],
        stdin=subprocess.DEVNULL, capture_output=True, check=True, text=True, timeout=PATIENCE,
    ).stdout


def check_node(lab: dict, name: str) -> str | None:
    ssh(lab, name, "true")
    return None


def check_cluster(lab: dict, cluster: dict) -> str | None:
    answer = ssh(lab, cluster["name"], "gnt-node", "list", "--no-headers", "--separator=:", "-o", "name,mfree")
    free = dict(line.split(":") for line in answer.split())
    silent = [node["name"] for node in cluster["nodes"] if not free.get(node["name"], "").isdecimal()]
    return f"Ganeti gets no answer from {', '.join(silent)}" if silent else None


def check_rapi(lab: dict, cluster: dict) -> str | None:
    password = pathlib.Path(lab["rapi_users"]["ansible"]["password_file"]).read_text(encoding="utf-8").strip()
    credentials = base64.b64encode(f"ansible:{password}".encode()).decode()
    request = urllib.request.Request(cluster["rapi"]["url"] + "/2/info", headers={"Authorization": f"Basic {credentials}"})
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=cluster["rapi"]["ca"])),
    )
    with opener.open(request, timeout=PATIENCE) as response:
        name = json.load(response)["name"]
    return None if name == cluster["name"] else f"RAPI calls itself {name}"


def checks_of(cluster: dict) -> dict:
    """What to check of a cluster: a title for each, the function, and what it takes."""
    checks = {"Ganeti": (check_cluster, cluster), "RAPI": (check_rapi, cluster)}
    checks.update({f"node {node['name']}": (check_node, node["name"]) for node in cluster["nodes"]})
    return checks


def main() -> int:
    try:
        lab = json.loads(pathlib.Path(os.environ["GANETI_LAB_DIR"], "run", "lab.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        print("lab: there is none")
        return 1
    if lab["id"] != os.environ["GANETI_LAB_ID"]:
        print("lab: it was made from another description")
        return 1

    wanted = sys.argv[1:] or list(lab["clusters"])
    absent = [name for name in wanted if name not in lab["clusters"]]
    for name in absent:
        print(f"{name}: there is no such cluster in it")
    checks = {(name, title): check for name in wanted if name not in absent for title, check in checks_of(lab["clusters"][name]).items()}

    found = len(absent)
    with ThreadPoolExecutor(len(checks) or 1) as pool:
        pending = {where: pool.submit(check, lab, what) for where, (check, what) in checks.items()}
        for (name, title), future in pending.items():
            try:
                problem = future.result()
            except subprocess.CalledProcessError as error:
                problem = error.stderr.strip() or str(error)
            except (OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
                problem = str(error)
            if problem:
                found += 1
                print(f"{name}: {title}: {problem.splitlines()[-1]}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
