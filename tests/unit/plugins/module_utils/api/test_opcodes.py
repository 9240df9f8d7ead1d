# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput, RequestRefused
from ansible_collections.ganeti.cluster.plugins.module_utils.api.opcodes import (
    COMMON_FIELDS,
    OPCODES,
    RapiRequest,
    masked,
    opcode,
    rapi_request,
    scrub,
    secret_fields,
)

_NAME = "inst1.example"


def test_an_opcode_keeps_its_fields() -> None:
    assert opcode("OP_INSTANCE_STARTUP", instance_name=_NAME, dry_run=True) == {
        "OP_ID": "OP_INSTANCE_STARTUP",
        "instance_name": _NAME,
        "dry_run": True,
    }


@pytest.mark.parametrize(
    ("op_id", "fields", "message"),
    [
        ("OP_INSTANCE_EXPLODE", {}, "no opcode OP_INSTANCE_EXPLODE"),
        ("OP_INSTANCE_STARTUP", {"instance_name": _NAME, "colour": 1}, "has no field colour"),
        ("OP_INSTANCE_STARTUP", {}, "needs instance_name"),
    ],
)
def test_what_ganeti_does_not_have_is_refused(op_id: str, fields: dict[str, t.Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        opcode(op_id, **fields)


@pytest.mark.parametrize(
    ("op", "request_"),
    [
        (
            opcode("OP_INSTANCE_CREATE", instance_name=_NAME, mode="create", disks=[{"size": 1024}], nics=[], dry_run=True),
            RapiRequest(
                "POST",
                "/2/instances?dry-run=1",
                {"__version__": 1, "instance_name": _NAME, "mode": "create", "disks": [{"size": 1024}], "nics": []},
            ),
        ),
        (opcode("OP_INSTANCE_REMOVE", instance_name=_NAME), RapiRequest("DELETE", f"/2/instances/{_NAME}", {})),
        (
            opcode("OP_INSTANCE_REMOVE", instance_name=_NAME, ignore_failures=False, shutdown_timeout=0),
            RapiRequest("DELETE", f"/2/instances/{_NAME}", {"shutdown_timeout": 0}),
        ),
        (
            opcode("OP_INSTANCE_STARTUP", instance_name=_NAME, force=True, no_remember=False, hvparams={}),
            RapiRequest("PUT", f"/2/instances/{_NAME}/startup?force=1&no_remember=0", None),
        ),
        (
            opcode("OP_INSTANCE_SHUTDOWN", instance_name=_NAME, timeout=5, no_remember=True),
            RapiRequest("PUT", f"/2/instances/{_NAME}/shutdown?no_remember=1", {"timeout": 5}),
        ),
        (
            opcode("OP_INSTANCE_SET_PARAMS", instance_name=_NAME, offline=True, reason=[["gnt:user", "a move", 1]]),
            RapiRequest("PUT", f"/2/instances/{_NAME}/modify?reason=a+move", {"offline": True}),
        ),
        (
            opcode("OP_INSTANCE_QUERY_DATA", instances=[_NAME], static=True),
            RapiRequest("GET", f"/2/instances/{_NAME}/info?static=1", None),
        ),
        (
            opcode("OP_INSTANCE_ACTIVATE_DISKS", instance_name=_NAME, ignore_size=True, wait_for_sync=False),
            RapiRequest("PUT", f"/2/instances/{_NAME}/activate-disks?ignore_size=1", None),
        ),
        (
            opcode("OP_TAGS_SET", kind="instance", name=_NAME, tags=["a:b", "c d"]),
            RapiRequest("PUT", f"/2/instances/{_NAME}/tags?tag=a%3Ab&tag=c+d", None),
        ),
        (opcode("OP_TAGS_DEL", kind="cluster", name=None, tags=["x"]), RapiRequest("DELETE", "/2/tags?tag=x", None)),
        (
            opcode("OP_CLUSTER_SET_PARAMS", candidate_pool_size=3, compression_tools=None),
            RapiRequest("PUT", "/2/modify", {"candidate_pool_size": 3}),
        ),
    ],
)
def test_an_opcode_becomes_a_rapi_request(op: dict[str, t.Any], request_: RapiRequest) -> None:
    assert rapi_request(op) == request_


@pytest.mark.parametrize(
    ("op", "words"),
    [
        (opcode("OP_CLUSTER_SET_PARAMS", compression_tools=["gzip", "lzop"]), "compression_tools"),
        (opcode("OP_INSTANCE_MOVE", instance_name=_NAME), "OP_INSTANCE_MOVE"),
        (opcode("OP_INSTANCE_STARTUP", instance_name=_NAME, startup_paused=True), "startup_paused"),
        (opcode("OP_INSTANCE_REMOVE", instance_name=_NAME, ignore_failures=True), "ignore_failures"),
        (opcode("OP_INSTANCE_ACTIVATE_DISKS", instance_name=_NAME, wait_for_sync=True), "wait_for_sync"),
        (opcode("OP_INSTANCE_ACTIVATE_DISKS", instance_name=_NAME, dry_run=True), "dry_run"),
        (opcode("OP_INSTANCE_QUERY_DATA", instances=["a", "b"]), "instances"),
        (opcode("OP_OS_DIAGNOSE", output_fields=["name"]), "OP_OS_DIAGNOSE"),
    ],
)
def test_what_rapi_cannot_say_is_refused_with_a_way_out(op: dict[str, t.Any], words: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        rapi_request(op)
    assert words in refused.value.message
    assert "use transport ssh" in refused.value.message


@given(name=st.text())
def test_no_name_escapes_from_the_path(name: str) -> None:
    op = {"OP_ID": "OP_INSTANCE_REMOVE", "instance_name": name}
    try:
        target = rapi_request(op).target
    except InvalidInput:
        return
    assert target == f"/2/instances/{name}"
    assert not set(target) & set("?#% \r\n")
    assert target.count("/") == 3


@pytest.mark.parametrize("op_id", sorted(OPCODES))
def test_the_table_agrees_with_itself(op_id: str) -> None:
    entry = OPCODES[op_id]
    assert not entry.fields & COMMON_FIELDS
    assert entry.required <= entry.fields
    if entry.route is not None:
        assert set(entry.route.query) <= entry.fields | COMMON_FIELDS
        assert entry.route.forbidden | entry.route.never <= entry.fields


def test_secrets_are_known_masked_and_scrubbed() -> None:
    op = opcode("OP_INSTANCE_CREATE", instance_name=_NAME, mode="create", disks=[], nics=[], osparams_secret={"root": "hunter2"})
    assert "osparams_secret" in secret_fields("OP_INSTANCE_CREATE")
    assert "hunter2" not in str(masked(op))
    assert scrub("cannot parse {root: hunter2}", op) == "cannot parse {root: ********}"


@pytest.mark.parametrize(
    ("secret", "text", "scrubbed"),
    [
        ("1", "Disk 1 of inst1 has 1024 MiB", "Disk 1 of inst1 has 1024 MiB"),
        ("1", "wrong value '1' for a", "wrong value '********' for a"),
        ("1", '{"a": "1", "b": 12}', '{"a": "********", "b": 12}'),
        ("1", "a=1, b: 1; c=15", "a=********, b: ********; c=15"),
        ("1", "a=1", "a=********"),
        ("root", "no root on rootfs", "no ******** on rootfs"),
        ("a{0}b", "got 'a{0}b'", "got '********'"),
        ("very-secret", "xvery-secrety", "x********y"),
        ("", "nothing", "nothing"),
    ],
)
def test_a_short_secret_is_masked_as_a_value_and_nowhere_else(secret: str, text: str, scrubbed: str) -> None:
    op = opcode("OP_INSTANCE_CREATE", instance_name=_NAME, mode="create", disks=[], nics=[], osparams_private={"a": secret})
    assert scrub(text, op) == scrubbed


@given(st.text("abc'\\{}[.*", min_size=8), st.text("123 "), st.text("123 "))
def test_a_long_secret_is_masked_wherever_it_is(secret: str, before: str, after: str) -> None:
    op = opcode("OP_INSTANCE_CREATE", instance_name=_NAME, mode="create", disks=[], nics=[], osparams_private={"a": secret})
    assert scrub(f"{before}{secret}{after}", op) == f"{before}********{after}"
