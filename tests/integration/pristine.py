# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster's parameters as they were, brought back by Ganeti's own means and not by the modules that are tested."""

from __future__ import annotations

import json
import typing as t

from .lab import Lab, Result, Site

UNCOMPARED = ("serial_no", "mtime", "ctime", "candidate_certs", "highest_used_port", "tcpudp_port_pool")
"""Parts of the cluster that change by themselves: counters, times, ports, and the certificates that nodes get anew when they join."""
# Run on the master while nobody has the configuration open; what was comes from standard input.
_PUT_BACK = f"""
import json, sys
path = "/var/lib/ganeti/config.data"
with open(path) as stream:
    data = json.load(stream)
kept = {{key: data["cluster"][key] for key in {UNCOMPARED!r} if key in data["cluster"]}}
data["cluster"] = {{**json.load(sys.stdin), **kept}}
text = json.dumps(data)
with open(path, "w") as stream:
    stream.write(text)
"""
_DAEMONS = "/usr/lib/ganeti/daemon-util"
_STOP = f"{_DAEMONS} stop ganeti-luxid && {_DAEMONS} stop ganeti-wconfd"
_START = f"{_DAEMONS} start ganeti-wconfd && {_DAEMONS} start ganeti-luxid"


def stored(site: Site) -> Result:
    """The cluster as Ganeti's configuration has it, without what changes by itself."""
    found = site.ganeti.configuration()["cluster"]
    return {key: value for key, value in found.items() if key not in UNCOMPARED}


def restore(site: Site, cluster: t.Mapping[str, t.Any]) -> None:
    """Put the cluster's part of the configuration back as it was."""
    site.ganeti.flush()
    site.master("sh", "-c", f'{_STOP} && python3 -c "$1" && {_START} && gnt-cluster redist-conf', "restore", _PUT_BACK, given=json.dumps(cluster))


def untouched(lab: Lab, name: str) -> Site:
    """A cluster with the parameters that it was made with, whatever a run that was killed has left of its own."""
    site = Site(lab, name)
    made = lab.run_directory / f"pristine-{name}.json"
    now = stored(site)
    before = json.loads(made.read_text()) if made.exists() else {}
    if before.get("uuid") != now["uuid"]:  # nobody has touched it since it was made, be it instead of one that was here before
        made.write_text(json.dumps(now))
    elif before != now:
        restore(site, before)
    return site
