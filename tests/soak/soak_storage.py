# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets the storage's service run for long on three nodes while all kinds of things go wrong, masters are replaced and come back.

Run it as ``make soak-storage SOAK='--seed N --rounds N --runs N'``. A seed draws the faults, not their moments, so it may not show a failure again.
With ``COUCHDB_RELEASE`` the servers are real CouchDB, otherwise the stand-in; with ``STORAGE=etcd`` they are an etcd of three members. Ganeti takes no
part: its files are written here, as it writes them. As root, nodes and real CouchDB get small disks of their own, which can be full.

What goes wrong is in faults.py and promotions.py, what has to hold after it in checker.py. With ``--report DIRECTORY`` each run is added to the report there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from soak import report  # noqa: E402
from soak.rounds import Soak  # noqa: E402


def one_run(seed: int, rounds: int, storage: str, command: str, source: str) -> report.Run:
    """A cluster that is made anew, and its rounds. Where one did not hold, its directory stays, and the run says why."""
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    begun, seconds = time.strftime("%Y-%m-%d %H:%M", time.gmtime()), []
    failure = None
    soak = Soak(seed, directory, storage)
    try:
        for _number in range(rounds):
            since = time.monotonic()
            soak.round()
            seconds.append(round(time.monotonic() - since, 1))
    except Exception as error:  # whatever it is, it is said, and the next run begins
        failure = f"{type(error).__name__}: {error}"
        sys.stderr.write(f"seed {seed}, round {len(seconds) + 1}: {traceback.format_exc()}see {directory}\n")
    finally:
        soak.close(keep=failure is not None)
    if failure is None:
        shutil.rmtree(directory)
    counts = {topic: dict(counter) for topic, counter in soak.counts.items()}
    return {
        "seed": seed, "database": soak.database, "begun": begun, "seconds": seconds, "rounds": len(seconds), "counts": counts, "skipped": soak.skipped,
        "failure": failure, "command": command, "source": source,
    }  # fmt: skip


def _source() -> str:
    """Which sources these are, as Git has them."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def _command() -> str:
    """What was called, as anybody can call it."""
    variables = "".join(f"{name}={value} " for name, value in (("STORAGE", os.environ.get("STORAGE")),) if value)
    release = "COUCHDB_RELEASE=... " if os.environ.get("COUCHDB_RELEASE") else ""
    return f"{variables}{release}make soak-storage SOAK='{' '.join(sys.argv[1:])}'"


def main() -> int:
    """Run it; what was done, as a line of JSON for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True, help="of the first run; each has the next")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--report", type=Path, metavar="DIRECTORY", help="add what was done to the report there")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))  # and all that was started is ended on the way
    failures, source = 0, _source()
    for seed in range(asked.seed, asked.seed + asked.runs):
        run = one_run(seed, asked.rounds, os.environ.get("STORAGE", "couchdb"), _command(), source)
        sys.stdout.write(json.dumps(run) + "\n")
        sys.stdout.flush()
        failures += run["failure"] is not None
        if asked.report:
            report.add(asked.report, run)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
