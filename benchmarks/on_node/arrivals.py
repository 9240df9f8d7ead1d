# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On a standby: prints the number of each job whose document arrives in its CouchDB, and when, a line each, until standard input ends.

The first line, before all others, says "ready".  Arguments: the server's address, user, and password.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
import time
import urllib.request


def ask(path: str, seconds: float = 60.0) -> dict:  # type: ignore[type-arg]
    """Get from the server."""
    login = base64.b64encode(":".join(sys.argv[2:4]).encode()).decode()
    request = urllib.request.Request(sys.argv[1] + path, headers={"Authorization": "Basic " + login})
    with urllib.request.urlopen(request, timeout=seconds) as answer:
        result: dict = json.load(answer)  # type: ignore[type-arg]
    return result


def main() -> None:
    """Follow the queue's changes."""

    def watch() -> None:
        sys.stdin.read()
        os._exit(0)

    since = ask("/queue/_changes?limit=0&since=now")["last_seq"]
    print("ready", flush=True)
    threading.Thread(target=watch, daemon=True).start()
    seen = set()
    while True:
        answer = ask(f"/queue/_changes?feed=longpoll&timeout=20000&since={urllib.request.quote(since)}")  # type: ignore[attr-defined]
        now = time.time()
        since = answer["last_seq"]
        for row in answer["results"]:
            if row["id"].isdigit() and row["id"] not in seen:
                seen.add(row["id"])
                print(row["id"], now, flush=True)


main()
