# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pages name what there is, and their diagrams can be drawn. Links are checked where the site is built (`make docs`)."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import yaml
from jinja2 import Environment, nodes

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
DIAGRAMS = [(page.name, block) for page in PAGES for block in re.findall(r"^```mermaid\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)]
MODULES = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
ROLE_PAGES = sorted((ROOT / "roles").glob("*/README.md"))
TEXTS = [*PAGES, *ROLE_PAGES, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "molecule/README.md"))]
"""All pages that people write."""
PARTS = ("benchmarks", "changelogs", "docs", "meta", "molecule", "playbooks", "plugins", "roles", "tests")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
CODE_FILE = re.compile(r"(?<![\w/.~*@-])[\w.][\w./-]*\.(?:py|md|yml|j2|toml)\b")


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


def test_the_site_has_every_page():
    listed = set(re.findall(r"^(\w[\w/-]+)$", (ROOT / "docs/site/contents.md").read_text(encoding="utf-8"), re.M))
    pages = {str(path.relative_to(ROOT).with_suffix("")) for path in [*PAGES, *ROLE_PAGES]}
    assert listed == pages | {"reference/index", "CONTRIBUTING", "molecule/README", "CODE_OF_CONDUCT", "CHANGELOG"}


@pytest.fixture(scope="module")
def files():
    """The paths of the files that there are, without what tests and tools leave behind."""
    found = [path for part in PARTS for path in (ROOT / part).rglob("*.*") if "__pycache__" not in path.parts]
    return [f"/{path.relative_to(ROOT)}" for path in [*found, *ROOT.glob("*.*")]]


def gone(text, files):
    """The files that a page names in its sentences and tables and that are not there; ``NAME`` is for the reader to fill in."""
    named = [name for code in re.findall(r"`([^`]+)`", FENCE.sub("", text)) for name in CODE_FILE.findall(code)]
    return sorted(name for name in set(named) if "NAME" not in name and not any(path.endswith(f"/{name.lstrip('./')}") for path in files))


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_names_files_that_exist(path, files):
    assert gone(path.read_text(encoding="utf-8"), files) == []


def test_a_file_that_is_gone_is_seen(files):
    assert gone("`move/run.py`, `move/gone.py`, `/etc/some.py`, `docs/NAME.md`\n```\nfenced.py\n```\n", files) == ["move/gone.py"]


def test_the_map_of_the_house_names_every_room():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("| room | what is in it |")[1].split("\n\n")[0]
    rooms = {room for row in text.splitlines() for room in re.findall(r"`([^`]+)`", row.split("|")[1] if "|" in row else "")}
    assert rooms and all((ROOT / room).is_dir() for room in rooms)
    inside = [path for part in ("plugins", "tests") for path in (ROOT / part).iterdir() if path.is_dir() and path.name[0] not in "._"]
    wanted = {"LICENSES", *PARTS, *(str(path.relative_to(ROOT)) for path in inside)} - {"plugins", "tests"}
    assert rooms == wanted | {"docs/site"}


# --- What users can set -----------------------------------------------------------------------------------------------


def options(role):
    """The variables of a role, by name."""
    return yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]


@pytest.mark.parametrize("role", ROLES)
def test_the_page_of_a_role_lists_its_variables(role):
    table = (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8").split("| variable |")[1].split("\n\n")[0]
    named = [name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(named) == sorted(options(role))


@pytest.mark.parametrize("role", ROLES)
def test_the_defaults_of_a_role_are_those_that_it_documents(role):
    given = yaml.safe_load((ROOT / "roles" / role / "defaults/main.yml").read_text(encoding="utf-8"))
    assert given.keys() == {name for name, option in options(role).items() if not option.get("required")}
    fixed = {name: value for name, value in given.items() if "{{" not in str(value)}
    assert fixed == {name: options(role)[name].get("default") for name in fixed}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_sets_variables_of_roles_that_there_are(path):
    blocks = [yaml.safe_load(block) for kind, block in FENCE.findall(path.read_text(encoding="utf-8")) if kind == "yaml"]
    plays = [entry for block in blocks if isinstance(block, list) for entry in block]
    known = {name for role in ROLES for name in options(role)}
    for entry in [role for play in plays for role in play.get("roles", [])]:
        assert entry["role"].removeprefix("ganeti.cluster.") in ROLES and entry.get("vars", {}).keys() <= known


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_the_reference_names_the_variables_of_a_playbook(name):
    row = next(line for line in (ROOT / "docs/reference.md").read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{name}` | `"))
    text = (ROOT / "playbooks" / f"{name}.yml").read_text(encoding="utf-8")
    play = yaml.safe_load(text)[0]
    own = {"omit", "ansible_check_mode", *(task.get("register") for task in play.get("tasks", []))}
    own.update(variable for task in play.get("tasks", []) for variable in task.get("vars", {}))
    code = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    used = {each.name for each in Environment(autoescape=True).parse(code).find_all(nodes.Name)}
    assert set(re.findall(r"`(\w+)`", row.split("|")[2])) == used - own


# --- Diagrams ---------------------------------------------------------------------------------------------------------


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
