# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `make test` says at the end is what happened: nothing that did not run, failed or was skipped goes unnoticed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools/run_all.py"
SUITE = '<testsuites><testsuite tests="{}" failures="{}" errors="0" skipped="{}"/></testsuites>'


@pytest.fixture
def run(tmp_path):
    """Runs lanes in a directory whose Makefile has these recipes."""

    def start(*lanes: str, **recipes: str) -> subprocess.CompletedProcess[str]:
        makefile = "".join(f"{name.replace('_', '-')}:\n\t@{recipe}\n" for name, recipe in recipes.items())
        (tmp_path / "Makefile").write_text(makefile)
        command = [sys.executable, str(SCRIPT), str(tmp_path / "results"), *lanes]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)

    return start


def suite(tests: int, failures: int = 0, skipped: int = 0) -> str:
    """A recipe that writes what pytest would."""
    return f"mkdir -p results; echo '{SUITE.format(tests, failures, skipped)}' >results/unit.xml"


def test_all_is_well(run):
    done = run("lab,test-lint", "test-unit", lab="echo up", test_lint="echo clean", test_unit=suite(7))
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("\n7 passed, 0 failed\n")
    assert all(f"{target:18}" in done.stdout for target in ("lab", "test-lint", "test-unit"))


def test_outputs_are_not_mixed(run):
    recipe = "for n in 1 2 3 4 5; do echo {0}; sleep 0.05; done"
    shown = run("one", "two", one=recipe.format("first"), two=recipe.format("second")).stdout
    assert "first\n" * 5 in shown and "second\n" * 5 in shown


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (suite(7, failures=2), "5 passed, 2 failed"),
        (suite(7, skipped=1), "6 passed, 1 failed"),
        (suite(0), "0 passed, 1 failed"),
        (suite(7) + "; exit 2", "7 passed, 1 failed"),
        ("echo nothing written", "0 passed, 1 failed"),
    ],
)
def test_tests_that_did_not_pass(run, recipe, words):
    done = run("test-unit", test_unit=recipe)
    assert done.returncode == 1 and done.stdout.endswith(f"\n{words}\n"), done.stdout


def test_what_an_earlier_run_left_does_not_count(run):
    assert run("test-unit", test_unit=suite(7)).returncode == 0
    assert run("test-unit", test_unit="true").stdout.endswith("\n0 passed, 1 failed\n")


def test_without_a_lab_its_tests_do_not_run(run):
    done = run("lab,test-integration", "test-lint", lab="exit 1", test_integration="echo never", test_lint="echo clean")
    assert done.returncode == 1 and "never" not in done.stdout and "clean" in done.stdout
    assert "DID NOT RUN" in done.stdout and done.stdout.endswith("\n0 passed, 1 failed\n"), done.stdout


def test_a_target_without_tests_that_fails(run):
    done = run("test-lint,test-unit", test_lint="exit 3", test_unit=suite(7))
    assert done.returncode == 1 and done.stdout.endswith("\n7 passed, 0 failed\n"), done.stdout
