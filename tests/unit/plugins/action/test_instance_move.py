# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module as real Ansible runs it, up to a refusal that needs no cluster."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._progress import Progress

pytestmark = pytest.mark.functional

ROOT = Path(__file__).resolve().parents[4]
ARGUMENTS = {"name": "No Host Name", "source": {"address": "a1.example.com"}, "destination": {"address": "b1.example.com"}}
REFUSAL = "name is 'no host name', which is not a host name: use letters, digits, dashes, underscores and dots, 255 of them at most."


@pytest.fixture
def ansible(tmp_path):
    """Runs the module on this machine with further options; what Ansible prints."""
    place = tmp_path / "collections/ansible_collections/ganeti"
    place.mkdir(parents=True)
    (place / "cluster").symlink_to(ROOT)

    def run(*options):
        command = [str(Path(sys.executable).parent / "ansible"), "localhost", "-m", "ganeti.cluster.instance_move", "-a", json.dumps(ARGUMENTS), *options]
        places = {f"ANSIBLE_{name}": str(tmp_path / name) for name in ("REMOTE_TMP", "LOCAL_TEMP", "ASYNC_DIR")}
        variables = {**os.environ, **places, "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections"), "ANSIBLE_NOCOLOR": "1"}
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 2, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_it_runs_asynchronously(ansible):
    """The longest task of all, which nobody wants to hold a connection for."""
    said = ansible("-B", "60", "-P", "1")
    assert REFUSAL in said and "ansible_job_id" in said


@pytest.mark.parametrize("length", [8, 200])
def test_a_long_directory_for_temporary_files_does_no_harm(tmp_path, monkeypatch, length):
    """A socket's path is limited to 107 bytes; it is another directory's then, and nothing is left in either."""
    from ansible_collections.ganeti.cluster.plugins.plugin_utils import showing  # half of Ansible, which no other test needs

    place = tmp_path / ("x" * length)
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    with showing.directory() as directory, showing.Listener(f"{directory}/progress", "web") as listener:
        assert os.stat(directory).st_mode & 0o077 == 0
        progress = Progress(listener.path)
        progress.phase("preflight")
        progress.close()
    assert not os.path.exists(directory) and not os.listdir(place)


def test_a_signal_that_another_thread_was_given_reaches_the_one_that_waits(tmp_path):
    """As the kernel may choose: the handler runs in the main thread, which nothing would wake."""
    from ansible_collections.ganeti.cluster.plugins.plugin_utils import showing

    class Came(Exception):
        pass

    came = []

    def handle(number, _frame):
        came.append(number)
        if len(came) == 1:
            raise Came

    late, woken = os.pipe()
    timer = threading.Timer(60, os.write, (woken, b"too late"))
    timer.start()
    before = signal.signal(signal.SIGTERM, handle)
    try:
        with showing.Listener(str(tmp_path / "progress"), "web") as listener, pytest.raises(Came):
            waits = select.poll()
            waits.register(late, select.POLLIN)
            threading.Timer(0.5, signal.pthread_kill, (listener.thread, signal.SIGTERM)).start()
            waits.poll()
        assert timer.is_alive(), "only the timer has ended the wait"
    finally:
        signal.signal(signal.SIGTERM, before)
        timer.cancel()
        timer.join()
        os.close(late)
        os.close(woken)
