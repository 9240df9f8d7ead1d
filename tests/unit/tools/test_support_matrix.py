# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/tested.md claims what tests that passed have run on, and nothing else."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools/support_matrix.py"
CASE = '<testcase name="{}"><properties><property name="ran" value="{}"/></properties>{}</testcase>'
REST = [CASE.format("s", "storage release=3.0 backend=couchdb", ""), CASE.format("p", "parameters release=3.1", "")]
MOVE = "move source=3.0 destination=3.1 hypervisor=fake from=file to=ext state=running"


@pytest.fixture
def matrix(tmp_path, monkeypatch):
    """Runs the tool on results and a page of its own; returns its exit status and the page."""
    spec = importlib.util.spec_from_file_location("support_matrix", SCRIPT)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    tool.PAGE = tmp_path / "tested.md"
    tool.PAGE.write_text(f"before\n{tool.BEGIN}\n{tool.END}\nafter\n")

    def run(*cases: str, check: bool = False):
        (tmp_path / "results.xml").write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
        monkeypatch.setattr(sys, "argv", ["support_matrix", *(["--check"] if check else []), str(tmp_path / "results.xml")])
        return tool.main(), tool.PAGE.read_text()

    return run


def test_what_was_seen_is_written_and_then_holds(matrix):
    cases = [CASE.format("a", MOVE, ""), CASE.format("b", MOVE, ""), *REST]
    status, text = matrix(*cases)
    assert status == 0 and text.startswith("before\n") and text.endswith("\nafter\n")
    assert text.count("| 3.0 | 3.1 | fake | file | ext | running |") == 1 and "| 3.1 |\n" in text and "`drbd`" in text
    assert matrix(*cases, check=True) == (0, text)
    assert matrix(*cases, CASE.format("d", "parameters release=3.0", ""), check=True) == (0, text), "to see more than is claimed is no fault"


@pytest.mark.parametrize("bad", ["failure", "error", "skipped"])
def test_a_test_that_did_not_pass_proves_nothing(matrix, bad, capsys):
    text = matrix(CASE.format("a", MOVE, ""), *REST)[1]
    assert matrix(CASE.format("a", MOVE, f"<{bad}/>"), *REST, check=True) == (1, text)
    assert "tested.md claims what this run did not see: | 3.0 | 3.1 | fake | file | ext | running |" in capsys.readouterr().out


def test_a_page_that_tells_nothing_is_not_right(matrix, capsys):
    assert matrix(CASE.format("a", MOVE, ""), *REST, check=True)[0] == 1
    said = capsys.readouterr().out
    assert all(f"tested.md does not tell this: {part}" in said for part in ("Moves", "Storage", "Cluster parameters", "what was not run"))


def test_a_fact_without_a_column_is_told(matrix):
    with pytest.raises(SystemExit, match="no column"):
        matrix(CASE.format("a", MOVE + " weather=fine", ""))
