# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configuration and jobs in etcd: all of them come back, large ones too, and one that cannot be stored holds up no other."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import StorageIncomplete, StorageRefused
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.conversion import convert
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd import changes
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.wire import Delete, Put

from .samples import configuration, configurations, job, name, queues

MIB = 1 << 20


def test_what_was_never_written_is_said_to_be_missing(storage):
    with pytest.raises(StorageIncomplete, match="There is no configuration"):
        storage.configuration()
    assert storage.queue() == (frozenset(), frozenset(), 0)


def test_files_come_back_as_they_were(disk, storage, tmp_path):
    disk.write_configuration(configuration(count=5))
    disk.write_jobs({7: job(7), 20005: job(20005)})
    disk.write_jobs({3: job(3), 20001: job(20001)}, archived=True)
    disk.write_serial(20005)
    disk.write_ssconf({"node_list": "a1\n", "cluster_tags": ""})

    convert(disk, storage)
    (tmp_path / "back/queue/archive").mkdir(parents=True)
    convert(storage, DiskStorage(str(tmp_path / "back"), durable=False))

    one, other = (
        {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()} for top in (tmp_path / "node", tmp_path / "back")
    )
    assert json.loads(one.pop("config.data")) == json.loads(other.pop("config.data"))  # its objects are its last parts then, which means nothing
    assert one == other and len(one) == 7


@settings(max_examples=15)
@given(configurations(), queues(), queues())
def test_any_configuration_and_any_jobs_come_back(open_storage_anew, found, queued, archived):
    with tempfile.TemporaryDirectory() as directory:
        storage = open_storage_anew()
        for place in ("one", "other"):
            (Path(directory) / place / "queue/archive").mkdir(parents=True)
        one, other = (DiskStorage(f"{directory}/{place}", durable=False) for place in ("one", "other"))
        one.write_configuration(found)
        one.write_jobs(queued)
        one.write_jobs(archived, archived=True)
        one.write_serial(max([0, *queued, *archived]))
        convert(one, storage)
        convert(storage, other)
        assert other.configuration() == found
        assert json.dumps(other.configuration()["cluster"]) == json.dumps(found["cluster"])  # the order of keys too
        assert other.queue() == one.queue()
        assert dict(other.jobs(queued)) == queued and dict(other.jobs(archived, archived=True)) == archived


def test_only_what_changed_is_written_again(storage, client):
    storage.write_configuration(configuration(20, count=50))
    before = client.scan(storage._root + "config/")[0]
    changed = configuration(21, count=50)
    changed["instances"][name(100)]["mark"] = "new"
    del changed["instances"][name(101)]
    storage.write_configuration(changed)
    after, revision = client.scan(storage._root + "config/")
    assert [kv.key.rpartition("config/")[2] for kv in after if kv.modified > max(each.modified for each in before)] == ["head", f"instances/{name(100)}"]
    assert {kv.modified for kv in after if kv not in before} == {revision}, "all in one transaction"
    assert storage.configuration() == changed

    storage.write_configuration(changed)
    assert client.scan(storage._root + "config/")[1] == revision, "nothing was to be written"


@pytest.mark.parametrize("count", [126, 127, 500])
def test_a_change_of_many_objects_is_written_in_parts(storage, open_storage, count):
    storage.write_configuration(configuration(20, count))
    wanted = configuration(21, count, mark="new")
    storage.write_configuration(wanted)
    assert open_storage().configuration() == wanted
    assert storage._client.scan(storage._root + "staged/")[0] == []
    emptied = configuration(22, 0)
    storage.write_configuration(emptied)
    assert open_storage().configuration() == emptied


def test_a_change_of_many_bytes_is_written_in_parts(storage, open_storage):
    storage.write_configuration(configuration(20, 10))
    wanted = configuration(21, 10, mark="x" * (MIB // 2))  # 5 MiB in ten objects and the head
    storage.write_configuration(wanted)
    assert open_storage().configuration() == wanted


def test_an_object_that_is_too_large_is_named_and_the_old_configuration_stays(storage, open_storage):
    storage.write_configuration(configuration(20))
    large = configuration(21)
    large["instances"][name(101)]["mark"] = "x" * (2 * MIB)
    with pytest.raises(StorageRefused, match=f"instances/{name(101)} cannot be stored.*max-request-bytes"):
        storage.write_configuration(large)
    assert open_storage().configuration() == configuration(20)
    storage.write_configuration(configuration(22, mark="small again"))
    assert open_storage().configuration() == configuration(22, mark="small again")
    assert storage._client.scan(storage._root + "staged/")[0] == []


def test_each_job_that_cannot_be_stored_is_named_and_all_others_are(storage):
    jobs = {number: job(number) for number in range(1, 301)}
    jobs[50] = job(50, "x" * (2 * MIB))
    jobs[60] = job(60, "\ud800")
    jobs[70] = {**job(70), "received_timestamp": [float("inf"), 0]}
    jobs[80] = job(80, "y" * (MIB + MIB // 4))  # more than goes with others, and less than etcd takes
    refused = storage.write_queue(jobs, 300)
    assert sorted(refused) == [50, 60, 70]
    assert "max-request-bytes" in refused[50] and "UTF-8" in refused[60] and "number" in refused[70]
    assert storage.queue() == (frozenset(jobs) - {50, 60, 70}, frozenset(), 300)
    assert dict(storage.jobs(jobs)) == {number: each for number, each in jobs.items() if number not in (50, 60, 70)}


def test_bad_files_of_jobs_are_set_aside_and_all_others_are_stored(disk, storage, tmp_path):
    disk.write_configuration(configuration())
    disk.write_jobs({number: job(number) for number in (1, 2, 3)})
    queue = tmp_path / "node/queue"
    (queue / "job-4").write_bytes(b'{"id": 4, "ops": "\xff"}')
    (queue / "job-5").write_text('{"id": 5, "ops": "\\ud800"}')
    (queue / "job-6").write_text('{"id": 6, "ops": 1e999}')
    disk.write_serial(6)
    convert(disk, storage)
    assert storage.queue().jobs == {1, 2, 3}
    said = " ".join(disk.bad_files.words())
    assert all(f"job-{number}" in said for number in (4, 5, 6))


def test_values_that_somebody_else_wrote_are_no_jobs(storage, client):
    storage.write_jobs({1: job(1), 2: job(2)})
    for key, value in (("queue/3", b"\xff"), ("queue/4", b'{"info": {"id": 5}}'), ("queue/x", b"{}"), ("queue/05", b"{}")):
        client.transact([], [Put(storage._root + key, value)])
    assert storage.queue().jobs == {1, 2, 3, 4}
    assert dict(storage.jobs([1, 2, 3, 4])) == {1: job(1), 2: job(2)}


def test_jobs_are_removed_and_what_is_gone_is_no_error(storage):
    storage.write_jobs({number: job(number) for number in range(1, 401)})
    storage.write_jobs({number: job(number) for number in range(9999, 10003)}, archived=True)
    storage.remove_jobs(range(1, 500))
    storage.remove_jobs([9999], archived=True)
    assert storage.queue() == (frozenset(), frozenset({10000, 10001, 10002}), 0)


def test_the_simple_configuration_is_replaced(storage, open_storage):
    storage.write_ssconf({"node_list": "a1\na2\n", "master_node": "a1", "hvparams_kvm": "x" * 1000})
    storage.write_ssconf({"node_list": "a1\n", "cluster_tags": ""})
    assert open_storage().ssconf() == {"node_list": "a1\n", "cluster_tags": ""}
    with pytest.raises(StorageRefused, match="half a character"):
        storage.write_ssconf({"node_list": "\ud800"})


def test_more_than_an_answer_takes_is_read_in_pages(storage):
    jobs = {number: job(number, "z" * (MIB // 2)) for number in range(1, 15)}  # 7 MiB
    assert storage.write_jobs(jobs) == {}
    assert dict(storage.jobs(jobs)) == jobs


def test_a_large_configuration_is_read_in_pages(storage, open_storage):
    wanted = configuration(20, 12, mark="z" * (MIB // 2))  # 6 MiB
    storage.write_configuration(wanted)
    assert open_storage().configuration() == wanted


def test_what_somebody_wrote_past_the_fence_shows(storage, client):
    storage.write_configuration(configuration(20, mark="ours"))
    assert not storage.intruded()
    storage.write_configuration(configuration(21, mark="ours too"))
    storage.write_jobs({1: job(1)})
    assert not storage.intruded()
    client.transact([], [Put(f"{storage._root}config/instances/{name(101)}", b"not JSON")])
    with pytest.raises(StorageIncomplete, match="instances"):
        storage.configuration()
    assert storage.intruded() and not storage.intruded()
    storage.resolve()
    storage.write_configuration(configuration(22))
    assert storage.configuration() == configuration(22)


def test_what_somebody_removed_past_the_fence_is_noticed_and_written_again(storage, client):
    storage.write_configuration(configuration(20))
    client.transact([], [Delete(f"{storage._root}config/instances/{name(101)}")])
    with pytest.raises(StorageIncomplete, match="instances"):
        storage.configuration()
    storage.forget()
    storage.write_configuration(configuration(20))
    assert storage.configuration() == configuration(20)


def test_clusters_do_not_see_each_other(storage, open_storage_anew):
    storage.write_configuration(configuration(20))
    other = open_storage_anew()
    assert other.queue().jobs == frozenset()
    other.write_configuration(configuration(30))
    assert storage.configuration() == configuration(20)


def test_what_is_in_one_transaction_is_counted_as_etcd_counts(storage):
    """At the limit of operations with the fence's own, and in bytes below the one that etcd has."""
    assert changes.OPERATIONS + 1 == 128
    batch = [Put(f"queue/{number}", b"{}") for number in range(1, 128)]
    assert list(changes.batches(batch)) == [batch]
    storage._commit(batch)
    with pytest.raises(StorageRefused, match="too many operations"):
        storage._commit([*batch, Put("queue/128", b"{}")])
