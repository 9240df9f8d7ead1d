# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tools: what makes a script, what is proved, what is chosen."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError, InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils.compression import choose, contract, declare, script
from ansible_collections.ganeti.cluster.plugins.module_utils.stream import tools
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.tool_speed import Figures

MIB = 1024 * 1024


def params(directory, **changes):
    """The module's parameters."""
    values = {"name": "gz9", "command": "gzip -9 -c", "decompress_command": None, "directory": str(directory), "state": "present"}
    return {**values, "measure": False, "sample": "/usr/lib", "sample_mib": 1, **changes}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory in which the node daemon looks last."""
    for module in (declare, contract, script, tools):
        monkeypatch.setattr(module, "SEARCH_PATH", f"/usr/bin:/bin:{tmp_path}")
    return tmp_path


def test_a_script_is_made_once_and_works(place):
    first = declare.declare(params(place), False)
    assert first["changed"] and first["diff"]["before"] == {"script": None, "mode": None}
    assert os.listdir(place) == ["gz9"]
    packed = subprocess.run([place / "gz9"], input=b"abc" * 1000, capture_output=True, check=True).stdout
    assert subprocess.run(["gzip", "-d"], input=packed, capture_output=True, check=True).stdout == b"abc" * 1000
    assert not declare.declare(params(place), False)["changed"]
    os.chmod(place / "gz9", 0o644)
    assert declare.declare(params(place), False)["diff"]["after"] == {"mode": "0755"}
    assert declare.declare(params(place, command="gzip -1 -c"), False)["changed"]
    assert declare.declare(params(place, state="absent"), False)["changed"] and os.listdir(place) == []
    assert not declare.declare(params(place, state="absent"), False)["changed"]


def test_check_mode_changes_nothing(place):
    assert declare.declare(params(place, measure=True), True)["changed"] and os.listdir(place) == []
    declare.declare(params(place), False)
    assert declare.declare(params(place, state="absent"), True)["changed"] and os.listdir(place) == ["gz9"]
    assert "ratio" in declare.declare(params(place, measure=True), True)


def test_somebody_elses_file_is_left_alone(place):
    (place / "gz9").write_text("#!/bin/sh\n")
    for state in ("present", "absent"):
        with pytest.raises(GanetiError, match="was not written by this module"):
            declare.declare(params(place, state=state), False)
    assert (place / "gz9").read_text() == "#!/bin/sh\n"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "-d"}, "cannot name a compression tool"),
        ({"name": "a b"}, "cannot name a compression tool"),
        ({"name": "none"}, "no compression"),
        ({"name": "auto"}, "the tool that is found best"),
        ({"name": "gzip-fast"}, "a command of its own"),
        ({"name": "cat"}, "would find /usr/bin/cat before"),
        ({"name": "gzipx", "command": "gzipx -1"}, "would run itself"),
        ({"directory": "/srv"}, "does not look for tools in /srv"),
        ({"command": "'gzip"}, "quotes do not match"),
        ({"command": "; reboot"}, "does not begin with the name"),
        ({"command": "-c"}, "does not begin with the name"),
        ({"command": ""}, "does not begin with the name"),
        ({"command": "gzip '-9\x07'"}, "cannot be printed"),
        ({"command": "no-such-program -1"}, "does not answer -h"),
        ({"command": "cat", "decompress_command": "cat"}, "does not notice that its input was cut off"),
        ({"command": "gzip -c", "decompress_command": "cat"}, "does not give back an empty input"),
        ({"command": "false"}, "failed with status 1"),
    ],
)
def test_refusals_leave_nothing_behind(place, changes, words):
    with pytest.raises(GanetiError, match=words):
        declare.declare({**params(place), **changes}, False)
    assert os.listdir(place) == []


@pytest.mark.parametrize("name", ["gzip", "gzip-fast", "gzip-slow"])
def test_known_tools_keep_the_contract(name):
    contract.prove(contract.find(name))
    assert not declare.declare(params("/", name=name, command=None), False)["changed"]


def test_a_missing_program_is_named():
    with pytest.raises(GanetiError, match="install no-such-tool"):
        contract.find("no-such-tool")


@pytest.fixture
def adventure(place):
    """A program of the node that is no tool, and leaves a trace when it is run."""
    program = place / "adventure"
    program.write_text(f"#!/bin/sh\ntouch {place}/trace\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_program_that_may_be_anything_is_not_run(place, adventure, check_mode):
    """``shutdown -h`` is a program that ends with success."""
    with pytest.raises(InvalidInput, match=f"not known to be a compression tool, so it is not run to find out: .* set command to {adventure}"):
        declare.declare(params(place, name="adventure", command=None), check_mode)
    assert os.listdir(place) == ["adventure"]


def test_check_mode_runs_nothing_that_the_user_names(place, adventure):
    for changes in (
        {"command": str(adventure)},
        {"command": "gzip", "decompress_command": str(adventure)},
        {"name": "adventure", "command": str(adventure)},
        {"command": "/bin/touch " + str(place / "trace")},
        {"command": f"gzip -f {adventure}"},
    ):
        declare.declare(params(place, **changes), True)
        assert os.listdir(place) == ["adventure"]


def test_a_program_that_the_user_vouches_for_is_proved(place):
    program = place / "mine"
    program.write_text("#!/bin/sh\nexec gzip -c $1\n")
    program.chmod(0o755)
    assert not declare.declare(params(place, name="mine", command=str(program)), False)["changed"]
    program.write_text("#!/bin/sh\nexec cat\n")
    with pytest.raises(GanetiError, match="does not notice"):
        declare.declare(params(place, name="mine", command=str(program)), False)


def test_a_script_of_this_module_needs_no_vouching_but_cannot_run_itself(place):
    declare.declare(params(place), False)
    assert not declare.declare(params(place, command=None), False)["changed"]
    with pytest.raises(InvalidInput, match="would run itself"):
        declare.declare(params(place, command=str(place / "gz9")), False)


@pytest.mark.parametrize(
    ("argv", "harmless"),
    [
        (["gzip", "-9", "-c"], True),
        (["/usr/bin/zstd", "-1", "-T0", "--long=27"], True),
        (["xz"], True),
        (["gzip", "disk.img"], False),
        (["zstd", "-o", "disk.img"], False),
        (["xz", "--files=list"], False),
        (["xz", "--files"], False),
        (["/tmp/gzip"], False),
        (["./gzip"], False),
        (["sh", "-c"], False),
        (["gzip", "-S"], False),
    ],
)
def test_which_commands_are_harmless(argv, harmless):
    assert script.is_harmless(argv) is harmless


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126)), max_size=5))
def test_no_word_means_anything_to_the_shell(arguments):
    """The script's -d runs printf with the words, which must arrive as they are."""
    command = "/usr/bin/printf '%s|' " + " ".join(map(quoted, arguments))
    text = script.render("x", command, command)
    done = subprocess.run(["/bin/sh", "-s", "--", "-d"], input=text.encode(), capture_output=True, check=True)
    assert done.stdout.decode() == ("".join(f"{each}|" for each in arguments) or "|")


def quoted(word):
    return "'" + word.replace("'", "'\\''") + "'"


@given(st.text(max_size=20))
def test_what_is_accepted_as_a_name_fits_ganetis_rule(name):
    try:
        script.check_name(name, custom=False)
    except InvalidInput:
        return
    assert name not in ("none", "auto") and not name.startswith("-") and name.replace("-", "").replace("_", "").isascii()


def test_figures_are_of_the_sample():
    figures = contract.measure(contract.find("gzip"), "/usr/lib/python3", 2)
    assert figures.ratio > 1 and figures.compress > 0 and figures.decompress > 0


def test_zeros_are_no_sample(tmp_path):
    (tmp_path / "disk").write_bytes(bytes(MIB))
    with pytest.raises(GanetiError, match="nothing but zeros"):
        contract.measure(contract.find("gzip"), str(tmp_path / "disk"), 1)
    with pytest.raises(GanetiError, match="Cannot read the sample"):
        contract.measure(contract.find("gzip"), str(tmp_path / "absent"), 1)


# The design document's own figures: MB/s into the tool and out of it, a network of 105 MB/s, AES-256 of 40 MB/s.
DESIGN = {"gzip-slow": (22.3, 7.1), "gzip-fast": (44.1, 15.1), "lzop": (71.9, 28.1)}
FIGURES = {name: Figures(fast / out, fast, 1000.0) for name, (fast, out) in DESIGN.items()}


def test_the_design_documents_example():
    ranked = choose.ranking(FIGURES, network=105.0, encryption=40.0)
    assert [each.name for each in ranked] == ["lzop", "gzip-fast", "none", "gzip-slow"]
    assert (ranked[0].speed, ranked[0].slowest) == (71.9, "compression")
    assert (ranked[2].speed, ranked[2].slowest) == (40.0, "encryption")
    assert "80 % more than the 40.0 MiB/s" in choose.explanation(ranked)  # the document says 79


def test_on_a_fast_line_no_tool_is_best():
    ranked = choose.ranking(FIGURES, network=1000.0, encryption=500.0)
    assert ranked[0].name == "none" and "no tool would make more of it" in choose.explanation(ranked)


@given(st.floats(1, 1000), st.floats(1, 1000), st.floats(1, 50), st.floats(1, 1000), st.floats(1, 1000))
def test_the_slowest_stage_decides(network, encryption, ratio, compress, decompress):
    found = choose.stages("x", ratio, compress, decompress, network, encryption)
    assert found.speed <= min(compress, decompress) and found.speed <= ratio * min(network, encryption)
    assert found.speed in (compress, decompress, ratio * network, ratio * encryption)
