# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Has CouchDB compact some of its databases: ``compact.py FILE``, where FILE says which, and how to log in."""

from __future__ import annotations

import base64
import json
import sys
import urllib.error
import urllib.parse
import urllib.request

SECONDS = 60


def compact(url: str, username: str, password: str, database: str) -> str | None:
    """Start the compaction of a database; what went wrong, if anything did. A database that is not there needs none."""
    proof = base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
    headers = {"Authorization": f"Basic {proof}", "Content-Type": "application/json"}
    where = f"{url}/{urllib.parse.quote(database, safe='')}/_compact"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(where, b"", headers, method="POST"), timeout=SECONDS):
            return None
    except urllib.error.HTTPError as error:
        with error:
            return None if error.code == 404 else f"CouchDB at {url} refuses to compact {database}: {error.code} {error.reason}."
    except OSError as error:
        return f"CouchDB at {url} does not answer ({error}): see whether it runs."


def main() -> int:
    """Compact all that the file names."""
    with open(sys.argv[1], encoding="utf-8") as stream:
        chosen = json.load(stream)
    problems = [compact(chosen["url"], chosen["username"], chosen["password"], database) for database in chosen["databases"]]
    sys.stderr.writelines(f"{problem}\n" for problem in problems if problem)
    return 1 if any(problems) else 0


if __name__ == "__main__":
    raise SystemExit(main())
