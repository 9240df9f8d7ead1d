# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pages name what there is, and their diagrams can be drawn. Links are checked where the site is built (`make docs`)."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
DIAGRAMS = [(page.name, block) for page in PAGES for block in re.findall(r"^```mermaid\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)]
MODULES = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))


@pytest.fixture(scope="module")
def flowchart():
    spec = importlib.util.spec_from_file_location("flowchart", ROOT / "docs/site/flowchart.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind, names", [("module", MODULES), ("role", ROLES), ("playbook", PLAYBOOKS)])
def test_the_reference_lists_all_there_is_and_no_more(kind, names):
    text = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    table = text.split(f"| {kind} |")[1].split("\n\n")[0]
    assert sorted(re.findall(r"^\| \[?`(\w+)`", table, re.M)) == names


def test_the_readme_has_what_people_look_for_first():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert {"make demo", "make test"} <= {line.partition(" #")[0] for line in lines[:90]}
    begin = lines.index("| for | modules | roles | page |")
    table = [line.split("|") for line in lines[begin : lines.index("", begin)]]
    named = [sorted(re.findall(r"`(\w+)`", " ".join(row[column] for row in table))) for column in (2, 3)]
    assert named == [MODULES, ROLES]


def test_there_are_diagrams():
    assert {name for name, _block in DIAGRAMS} >= {"architecture.md", "instance_move.md", "storage.md", "stream.md"}


@pytest.mark.parametrize("name, block", DIAGRAMS, ids=[name for name, _block in DIAGRAMS])
def test_a_diagram_can_be_drawn_and_has_every_arrow(flowchart, name, block):
    drawn = flowchart.dot(block.splitlines())
    assert drawn.count(" -> ") == len(re.findall(r"--> ?|==> ?|-\.-> ?|-->\|", block))
    assert drawn.count("{") == drawn.count("}")
    for kind in set(re.findall(r":::(\w+)", block)):
        fill, line = flowchart.COLOURS[kind]
        assert f"classDef {kind} fill:{fill},stroke:{line}" in block, "GitHub and the site show one colour"


@pytest.mark.parametrize("line", ["sequenceDiagram", "a --o b", 'a["open', "subgraph x", "a -> b"])
def test_what_cannot_be_drawn_is_an_error(flowchart, line):
    with pytest.raises(ValueError, match="not understood"):
        flowchart.dot(["flowchart LR", line])


def test_a_label_cannot_end_its_quotes(flowchart):
    assert r'[label="say \"x\"\nand y"' in flowchart.dot(["flowchart LR", 'a["say &quot;x&quot;<br>and y"]'])
