# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules of the house that no other tool checks: which way imports point, how long modules are, what nodes can run."""

from __future__ import annotations

import ast
import io
import sys
import zipfile
from pathlib import Path

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.program import program
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing import map_reader

ROOT = Path(__file__).resolve().parents[2]
UTILS = ROOT / "plugins/module_utils"
MODULES = sorted((ROOT / "plugins/modules").glob("*.py"))
PACKAGES = {
    "": {""},
    "api": {"", "api"},
    "stream": {"stream"},
    "instance": {"", "api", "instance"},
    "images": {"", "api", "stream", "images"},
    "storage": {"", "api", "storage"},
    "compression": {"", "stream", "compression"},
    "lease": {"", "stream", "lease"},
    "guest": {"", "api", "stream", "guest"},
    "zeroing": {"", "api", "guest", "lease", "stream", "zeroing"},
    "exports": {"", "api", "zeroing", "exports"},
    "move": {"", "api", "compression", "guest", "images", "lease", "storage", "stream", "zeroing", "move"},
}
ROOMS = {
    "drivers": {"drivers"},
    "service": {"drivers", "service"},
    "history": {"drivers", "service", "cluster", "history"},
    "cluster": {"drivers", "service", "cluster"},
    "failover": {"drivers", "service", "cluster", "failover"},
}
"""Of the storage, and which of them each may use."""
NAME = "ansible_collections.ganeti.cluster.plugins.module_utils"
FILES = sorted(UTILS.rglob("*.py"))
LICENCE_TAG = "SPDX-License" + "-Identifier"  # in two parts, so that `reuse lint` does not take it for this file's


def package(path):
    """The package of module_utils that a file is in, however deep; "" for those at the top."""
    return "" if path.parent == UTILS else path.relative_to(UTILS).parts[0]


def place(path):
    """The dotted name of the package that a file is in, below module_utils."""
    return ".".join(path.relative_to(UTILS).parts[:-1])


def imports(text, inside):
    """What a file in ``inside`` (dotted) imports, as dotted names; of ``from x import y`` both x and x.y, as y may be either."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = inside.split(".")[: len(inside.split(".")) + 1 - node.level] if node.level else []
            name = ".".join(base + ([node.module] if node.module else []))
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)


def used_packages(text, inside):
    """The packages of module_utils that a file in one of them imports from, however it names them; "" for the top."""
    found = set()
    for name in imports(text, f"{NAME}.{inside}" if inside else NAME):
        if name.startswith(NAME + "."):
            first = name[len(NAME) + 1 :].split(".")[0]
            found.add(first if first in PACKAGES else "")
    return found


def used_rooms(text, inside):
    """The rooms of the storage that a file imports from."""
    found = [name for name in imports(text, f"{NAME}.{inside}") if name.startswith(f"{NAME}.storage.")]
    return {name[len(NAME) + 1 :].split(".")[1] for name in found} & ROOMS.keys()


def foreign_packages(text, inside):
    """The top-level packages outside the collection that a file imports from."""
    return {name.split(".")[0] for name in imports(text, f"{NAME}.{inside}") if not name.startswith(NAME)}


@pytest.mark.parametrize(
    "text",
    [
        "from ..stream import bundle",
        "from ..stream.bundle import bundle",
        "from .. import stream",
        "def f():\n    from ansible_collections.ganeti.cluster.plugins.module_utils.stream.bundle import bundle",
        "import ansible_collections.ganeti.cluster.plugins.module_utils.stream.bundle",
    ],
)
def test_a_wrong_import_is_seen_however_it_is_written(text):
    assert used_packages(text, "api") == {"stream"}
    assert not used_packages(text, "api") <= PACKAGES["api"]


def test_there_is_something_to_check():
    assert len(FILES) > 20 and MODULES
    assert {package(path) for path in FILES} >= {"", "api", "stream", "move"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(UTILS)))
def test_imports_point_one_way(path):
    assert used_packages(path.read_text(), place(path)) <= PACKAGES[package(path)]


@pytest.mark.parametrize("path", sorted((UTILS / "storage").rglob("*/*.py")), ids=lambda path: str(path.relative_to(UTILS / "storage")))
def test_imports_between_the_rooms_of_the_storage_point_one_way(path):
    room = path.relative_to(UTILS / "storage").parts[0]
    assert used_rooms(path.read_text(), place(path)) <= ROOMS[room]


@pytest.mark.parametrize("text", ["from ..service import main", "from .. import service", "from ..service.main import run", "from ...storage import service"])
def test_a_wrong_import_between_rooms_is_seen_however_it_is_written(text):
    assert used_rooms(text, "storage.drivers") == {"service"}


@pytest.mark.parametrize(
    "path",
    [path for path in sorted((UTILS / "storage").rglob("*/*.py")) if "drivers" not in path.parts],
    ids=lambda path: str(path.relative_to(UTILS / "storage")),
)
def test_a_storage_is_reached_by_its_interface_alone(path):
    """Nobody imports a driver but for the factory, and Ganeti's own files; program.py packs all."""
    drivers = {each.parent.name for each in (UTILS / "storage/drivers").glob("*/__init__.py")}
    found = {name[len(NAME) :].split(".")[3] for name in imports(path.read_text(), f"{NAME}.{place(path)}") if name.startswith(f"{NAME}.storage.drivers.")}
    assert drivers >= {"couchdb"} and (not found & drivers or path.name == "program.py")


def test_no_file_of_the_storage_is_beside_its_rooms():
    assert [path.name for path in (UTILS / "storage").glob("*.py")] == ["__init__.py"]
    assert {path.name for path in (UTILS / "storage").iterdir() if path.is_dir() and path.name != "__pycache__"} == ROOMS.keys()


@pytest.mark.parametrize(
    "path",
    [*sorted((UTILS / "storage/drivers").rglob("*.py")), *sorted((UTILS / "storage/service").glob("*.py"))],
    ids=lambda path: str(path.relative_to(UTILS)),
)
def test_drivers_and_service_run_on_a_bare_node(path):
    """All of both is in the program that nodes get, but for what packs it; and imports nothing that is not."""
    text = path.read_text()
    ast.parse(text, feature_version=(3, 9))
    assert foreign_packages(text, place(path)) <= sys.stdlib_module_names
    assert used_packages(text, place(path)) <= {"", "storage"}
    with zipfile.ZipFile(io.BytesIO(program())) as archive:
        assert (f"ganeti_couchdb/{path.relative_to(UTILS)}" in archive.namelist()) == (path.name != "program.py")


@pytest.mark.parametrize("path", sorted((UTILS / "stream").glob("*.py")), ids=lambda path: path.name)
def test_the_stream_runs_on_a_bare_node(path):
    ast.parse(path.read_text(), feature_version=(3, 9))
    assert foreign_packages(path.read_text(), "stream") <= sys.stdlib_module_names


@pytest.mark.parametrize("path", sorted((UTILS / "zeroing/maps").glob("*.py")), ids=lambda path: path.name)
def test_the_readers_of_maps_run_on_a_bare_node_by_themselves(path):
    """All of them are in the program that nodes get."""
    ast.parse(path.read_text(), feature_version=(3, 9))
    assert foreign_packages(path.read_text(), "zeroing.maps") <= sys.stdlib_module_names
    own = {name for name in imports(path.read_text(), f"{NAME}.zeroing.maps") if name.startswith(f"{NAME}.")}
    assert all(name == f"{NAME}.zeroing.maps" or name.startswith(f"{NAME}.zeroing.maps.") for name in own)
    packed = {module.__name__.rpartition(".")[2] for module in map_reader.MODULES}
    assert (path.stem in packed) == (path.stem != "__init__")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_modules_are_thin_and_documented(path):
    tree = ast.parse(path.read_text())
    texts = {node.targets[0].id: node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)}
    documents = [texts[name] for name in ("DOCUMENTATION", "EXAMPLES", "RETURN")]
    prose = sum(node.end_lineno - node.lineno + 1 for node in documents)
    assert len(path.read_text().splitlines()) - prose <= 120


def test_execution_environments_get_the_same_requirements():
    assert (ROOT / "meta/ee-requirements.txt").read_text() == (ROOT / "requirements.txt").read_text()


@pytest.mark.parametrize("path", sorted((ROOT / "plugins").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT / "plugins")))
def test_every_plugin_names_its_licence(path):
    """What modules import and nodes run may be used anywhere; what Ansible's controller loads must be under its own licence."""
    licence = "BSD-2-Clause" if UTILS in path.parents else "GPL-3.0-or-later"
    assert f"# {LICENCE_TAG}: {licence}\n" in path.read_text()
    assert (ROOT / "LICENSES" / f"{licence}.txt").read_text()
