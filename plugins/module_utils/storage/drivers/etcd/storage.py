# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The configuration and the jobs in etcd, object by object, for one writer at a time: see fence.py for who that is, changes.py for how, layout.py for where."""

from __future__ import annotations

import concurrent.futures
import contextlib
import secrets
import typing as t

from ...._errors import AuthenticationFailed, ConnectionFailed, GanetiError, StorageConflict, StorageFailed, StorageFenced, StorageRefused
from .. import documents, epochs
from ..documents import CONFIG, CONTAINERS, Json
from ..epochs import Claim
from ..interface import Checked, History, Notes, Queue, Storage
from . import changes, fence, layout, members, wire
from .client import PATIENCE, Client, Compacted, TooMuch
from .endpoints import Access, Endpoint
from .notes import EtcdNotes
from .revisions import EtcdHistory

_GETS = 100
"""Keys that are read in one request; etcd takes 128 where it is not told otherwise."""
_READS = 5
"""How often a long read is begun anew, if what it reads is compacted meanwhile."""
_CLAIMS = 5
"""How often a claim is tried that comes between others."""
_Read = t.TypeVar("_Read")


class EtcdStorage(Storage):
    """Storage of the cluster with this UUID, in the keys below *prefix*."""

    name = "etcd"

    def __init__(self, client: Client, cluster: str, prefix: str = "ganeti/", own: str = "") -> None:
        self._client = client
        self._node = own
        """The name of the node that this is."""
        self._root = layout.root(prefix, cluster)
        self._session = secrets.token_hex(8)
        self._mine: t.Optional[fence.Holder] = None
        """What was claimed, with the number of the last transaction that was tried."""
        self._token = 0
        """The revision at which the fence was written by us."""
        self._unsettled = False
        """Whether a transaction may be on its way whose answer nobody has."""
        self._known: t.Optional[t.Dict[str, t.Dict[str, int]]] = None
        """Fingerprints of what is stored."""
        self._has_head = False
        self._last: t.Optional[documents.Parts] = None
        self._looked: t.Optional[int] = None
        """The revision up to which `intruded` has looked."""
        self._own: t.Set[int] = set()
        """The revisions since then that are of our own transactions."""

    # --- Who writes --------------------------------------------------------------------------------------------------

    def claim(self, wanted: Claim, anew: bool = False) -> Claim:
        """What holds then is said in fence.py."""
        for _attempt in range(_CLAIMS):
            found = self._client.get(self._key(layout.FENCE))
            held = fence.holder(found)
            if found is not None and held is None:
                raise StorageConflict(f"{self._key(layout.FENCE)} in etcd holds what nobody of this collection has written: find out who did, and remove it.")
            standing = held.claim if held is not None else None
            if found is not None and standing is not None and epochs.kept(standing, wanted, anew):
                return self._claimed(standing, found.modified)
            why = fence.refusal(standing, wanted)
            if why:
                raise StorageFenced(f"{self.where} is not to be written to from here: {why}.")
            mine = fence.Holder(wanted, self._session, 0)
            compare = wire.Compare(self._key(layout.FENCE), found.modified if found is not None else 0)
            self._client.transact([compare], [wire.Put(compare.key, mine.encoded())])  # if its answer is lost, the next look tells
        raise StorageConflict(f"Others claim {self.where} all the time: see which nodes take themselves for the master.")

    def _claimed(self, standing: Claim, revision: int) -> Claim:
        """Write as the claimant from now on. What an earlier process of the same claim has sent is settled first."""
        if self._mine is None or self._mine.claim != standing:
            self._mine = fence.Holder(standing, self._session, 0)
            self._token, self._unsettled = revision, True
            self._doubt()
        return standing

    def claims(self) -> t.List[Claim]:
        try:
            held = fence.holder(self._client.get(self._key(layout.FENCE)))
        except GanetiError:  # nobody can be asked
            return []
        return [] if held is None else [held.claim]

    def elect(self, wanted: Claim, nodes: t.Collection[str], dead: t.Collection[str] = ()) -> None:
        """A claim is one: of two that begin the same epoch the first one has it (fence.py)."""
        del nodes, dead  # all members hold the same
        self.claim(wanted)

    def elected(self) -> t.Optional[Claim]:
        held = fence.holder(self._client.get(self._key(layout.FENCE)))
        return None if held is None else held.claim

    def notes(self, nodes: t.Collection[str], seconds: float) -> Notes:
        return EtcdNotes(Client(self._client.access, seconds), self._root, self._node, nodes)

    # --- The place itself --------------------------------------------------------------------------------------------

    @property
    def where(self) -> str:
        return f"{self._root} in etcd at {self._client.access.words()}"

    @property
    def machines(self) -> int:
        return len(self._client.access.endpoints)

    @property
    def apart(self) -> int:
        return self.machines

    def everywhere(self, number: int) -> t.Dict[str, t.Union[Json, str, None]]:
        """Each member says what it has itself: by then that is on its stable storage. A majority has whatever the service's write was acknowledged for; the
        others follow."""
        endpoints = self._client.access.endpoints
        with concurrent.futures.ThreadPoolExecutor(len(endpoints)) as executor:
            return dict(zip((one.url for one in endpoints), executor.map(lambda one: self._on(one, number), endpoints)))

    def _on(self, one: Endpoint, number: int) -> t.Union[Json, str, None]:
        found: t.Optional[Json] = None
        try:
            with self._client.of(one) as member:
                for archived in (False, True):
                    for kv in member.range(self._key(layout.job(number, archived)), serializable=True).kvs:
                        found = layout.read_job(kv.value, number) or found
        except GanetiError as error:
            return error.message
        return found

    @property
    def history(self) -> History:
        return EtcdHistory(self._client, self._root)

    def probe(self) -> None:
        """Of all members: one that is away is to be known before anything is switched."""
        self._client.get(self._key(layout.FENCE))
        for one in self._client.access.endpoints:
            self._client.member(one)

    def check(self, files: Storage, lag: int) -> Checked:
        found = super().check(files, lag)
        return found._replace(problems=[*found.problems, *members.problems(members.look(self._client))])

    def describe(self, serial: int) -> Json:
        whole: t.Optional[int] = None
        problem = None
        try:
            whole = self.newest().serial
        except GanetiError as error:
            problem = error.message
        return {"servers": members.describe(members.look(self._client), serial, whole, problem), "replications": []}

    def prepare(self) -> None:
        """Refuse an etcd that lets anybody read: the configuration holds secrets."""
        self._client.get(self._key(layout.FENCE))
        self.check_closed()

    def check_closed(self) -> None:
        """Raise AuthenticationFailed where somebody without password and certificate can read."""
        access = self._client.access
        for one in access.endpoints:
            try:
                with Client(access.stranger(one), seconds=10) as stranger:
                    stranger.range(self._key(layout.FENCE), serializable=True)
            except (AuthenticationFailed, ConnectionFailed):  # one that is away lets nobody read
                continue
            raise AuthenticationFailed(
                f"etcd at {one.url} lets anybody read the configuration, which holds secrets: have it ask for client certificates (client-cert-auth), "
                "or enable its authentication (etcdctl auth enable)."
            )

    # --- Configuration -----------------------------------------------------------------------------------------------

    def configuration(self) -> Json:
        return changes.configuration(self._read())

    def cluster_name(self) -> t.Optional[str]:
        found = self._client.get(self._key(layout.HEAD))
        head: t.Any = layout.decoded(found.value) if found is not None else None
        name = head["info"]["cluster"].get("cluster_name") if changes.is_head(head) and isinstance(head["info"].get("cluster"), dict) else None
        return None if name is None else str(name)

    def write_configuration(self, configuration: Json) -> None:
        wanted = documents.split(configuration, self._last)
        with self._careful():
            known = self._look()
            if known != wanted.fingerprints:
                self._write(changes.between(known, wanted, self._holder().claim.epoch))
            self._known, self._has_head, self._last = wanted.fingerprints, True, wanted

    def _write(self, change: changes.Change) -> None:
        operations = change.operations()
        if changes.fits(operations):
            try:
                self._commit(operations)
                return
            except StorageRefused:  # its limits are narrower than they mostly are: in parts then
                pass
        if self._has_head:
            self._write_staged(change)
        else:
            self._commit_all(operations)

    def _write_staged(self, change: changes.Change) -> None:
        generation = f"{self._holder().claim.serial}.{self._session}.{self._holder().turn}"
        self._commit_all(change.staging(generation))
        self._commit_all([changes.head(change.head, generation)])
        self._finish(change.objects, change.serial, change.head)

    def _finish(self, objects: t.Mapping[changes.Place, t.Optional[Json]], serial: int, head: Json) -> None:
        """Fold what is staged, and have nothing staged any more."""
        self._commit_all(changes.fold(objects, serial))
        self._commit([changes.head(head), wire.Delete(layout.STAGED, wire.end_of(layout.STAGED))])

    def _look(self) -> t.Dict[str, t.Dict[str, int]]:
        """The fingerprints of what is stored. What somebody who died has left half done is brought to its end first."""
        if self._known is None:
            self._settle()
            found = self._read()
            if found.head is not None and "staged" in found.head:
                self._finish(found.staged, found.head["serial"], found.head)
            elif found.litter:
                self._commit([wire.Delete(layout.STAGED, wire.end_of(layout.STAGED))])
            self._known = {container: {name: documents.fingerprint(each) for name, each in found.objects[container].items()} for container in CONTAINERS}
            self._known[CONFIG] = {CONFIG: documents.fingerprint({"_id": CONFIG, **found.head})} if found.head else {}
            self._has_head = found.head is not None
        return self._known

    def _read(self) -> changes.Stored:
        """The configuration as it is at one revision."""

        def read() -> changes.Stored:
            kvs, revision = self._scan(layout.CONFIG)
            return changes.stored(kvs, self._scan(layout.STAGED, revision)[0])

        return self._unless_compacted(read)

    # --- Jobs --------------------------------------------------------------------------------------------------------

    def queue(self) -> Queue:
        def read() -> Queue:
            page = self._client.range(self._root + layout.SERIAL)
            serial = layout.decoded(page.kvs[0].value) if page.kvs else 0
            queued, archived = (self._numbers(where, page.revision) for where in (False, True))
            return Queue(queued, archived, serial if isinstance(serial, int) else 0)

        return self._unless_compacted(read)

    def last_job(self) -> int:
        found = self._client.get(self._key(layout.SERIAL))
        serial = layout.decoded(found.value) if found is not None else 0
        return serial if isinstance(serial, int) else 0

    def _numbers(self, archived: bool, revision: int) -> t.FrozenSet[int]:
        kvs, _revision = self._scan(layout.ARCHIVE if archived else layout.QUEUE, revision, keys_only=True)
        found = (layout.job_id(kv.key, archived) for kv in kvs)
        return frozenset(number for number in found if number is not None)

    def jobs(self, numbers: t.Iterable[int], archived: bool = False) -> t.Iterator[t.Tuple[int, Json]]:
        for some in documents.batches(list(numbers), _GETS):
            for number, kv in zip(some, self._get([layout.job(number, archived) for number in some])):
                job = layout.read_job(kv.value, number) if kv is not None else None
                if job is not None:
                    yield number, job

    def write_jobs(self, jobs: t.Mapping[int, Json], archived: bool = False) -> t.Dict[int, str]:
        return self._write_jobs(jobs, archived, [])

    def write_serial(self, serial: int) -> None:
        self.write_queue({}, serial)

    def write_queue(self, jobs: t.Mapping[int, Json], serial: t.Optional[int]) -> t.Dict[int, str]:
        # First, so that no job is there whose id could be given out again.
        return self._write_jobs(jobs, False, [] if serial is None else [wire.Put(layout.SERIAL, documents.encoded(serial))])

    def _write_jobs(self, jobs: t.Mapping[int, Json], archived: bool, before: t.Sequence[wire.Operation]) -> t.Dict[int, str]:
        operations, refused = list(before), {}
        for number, job in jobs.items():
            try:
                operations.append(wire.Put(layout.job(number, archived), layout.job_value(number, job, archived)))
            except StorageRefused as error:
                refused[number] = error.message
        with self._careful():
            for batch in changes.batches(operations):
                for key, why in self._commit_parts(batch).items():
                    named = layout.job_id(key, archived)
                    if named is None:
                        raise StorageRefused(f"{key} cannot be stored. {why}")
                    refused[named] = why
        return refused

    def leave_out(self, refused: t.Mapping[int, str], archived: bool = False) -> None:
        """What is in etcd could be stored, and is read when somebody asks for it."""

    def remove_jobs(self, numbers: t.Iterable[int], archived: bool = False) -> None:
        with self._careful():
            self._commit_all([wire.Delete(layout.job(number, archived)) for number in numbers])

    # --- The simple configuration ------------------------------------------------------------------------------------

    def ssconf(self) -> t.Dict[str, str]:
        kvs = self._unless_compacted(lambda: self._scan(layout.SSCONF)[0])
        return {kv.key[len(layout.SSCONF) :]: kv.value.decode("utf-8", "replace") for kv in kvs}

    def write_ssconf(self, values: t.Mapping[str, str]) -> None:
        with self._careful():
            self._settle()
            present = self.ssconf()
            changed = [wire.Put(layout.SSCONF + name, layout.text(value)) for name, value in values.items() if present.get(name) != value]
            self._commit_all([*changed, *(wire.Delete(layout.SSCONF + name) for name in present if name not in values)])

    # --- What others do ----------------------------------------------------------------------------------------------

    def resolve(self) -> None:
        """There are no two of a key."""
        self.forget()

    def intruded(self) -> bool:
        """Whether somebody has claimed since, or has written past the fence, as etcdctl does. What was removed past it shows when it is read."""
        page = self._client.range(self._key(layout.FENCE))
        fenced = self._mine is not None and not self._unsettled and [kv.modified for kv in page.kvs] != [self._token]
        strange = self._looked is not None and any(self._strange(prefix, self._looked) for prefix in (layout.CONFIG, layout.QUEUE))
        self._looked = page.revision
        self._own = {each for each in self._own if each > page.revision}
        return fenced or strange

    def _strange(self, prefix: str, since: int) -> bool:
        start = self._root + prefix
        page = self._client.range(start, wire.end_of(start), keys_only=True, min_mod_revision=since + 1)
        return any(kv.modified not in self._own for kv in page.kvs)

    def forget(self) -> None:
        self._doubt()
        self._looked = None
        self._own.clear()

    def _doubt(self) -> None:
        self._known = self._last = None

    def close(self) -> None:
        self._client.close()

    # --- Transactions ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _careful(self) -> t.Iterator[None]:
        """Where something goes wrong in here, nothing is known any more of what is stored."""
        try:
            yield
        except BaseException:
            self._doubt()
            raise

    def _holder(self) -> fence.Holder:
        if self._mine is None:
            raise StorageFailed(f"This process has not claimed {self.where}, and without that nothing is written to it.")
        return self._mine

    def _settle(self) -> None:
        """Have a transaction whose answer was lost be done, or never done any more."""
        while self._unsettled:
            if self._transact([]):
                self._unsettled = False

    def _commit(self, operations: t.Sequence[wire.Operation]) -> None:
        """Do all of these at once. Raises StorageFenced where another master has claimed, StorageRefused where they are too large."""
        self._settle()
        if not self._transact(operations):
            self._unsettled = True
            why = "another process of this master's writes there too, or it was put back to an older state as by a restored backup"
            raise StorageConflict(f"{self.where} is not as it was: {why}. Nothing was written, and all is looked at again.")

    def _transact(self, operations: t.Sequence[wire.Operation]) -> bool:
        """Do these where nobody has written since; False where somebody of the same claim has, and nothing was done now: the next one comes after that."""
        mine = self._mine = self._holder()._replace(turn=self._holder().turn + 1)
        key = self._key(layout.FENCE)
        settled, self._unsettled = self._unsettled, True
        outcome = self._client.transact([wire.Compare(key, self._token)], [wire.Put(key, mine.encoded()), *map(self._absolute, operations)], [wire.Get(key)])
        self._unsettled = settled
        kv = None if outcome.done else outcome.found[0]
        found = mine if outcome.done else fence.holder(kv)
        if found is None or found.claim != mine.claim:
            raise StorageFenced(f"{self.where} is not to be written to from here any more: {fence.lost(found, mine)}.")
        self._token = kv.modified if kv is not None else outcome.revision
        self._own.add(self._token)
        return found == mine

    def _commit_all(self, operations: t.Sequence[wire.Operation]) -> None:
        """Do these, in as many transactions as it takes, in their order; raise StorageRefused where one of them is too large by itself."""
        for batch in changes.batches(operations):
            for key, why in self._commit_parts(batch).items():
                raise StorageRefused(f"{key} cannot be stored. {why}")

    def _commit_parts(self, batch: t.Sequence[wire.Operation]) -> t.Dict[str, str]:
        """Do these, at once where etcd takes them so, else in halves; the keys of those that are too large by themselves, and why."""
        try:
            self._commit(batch)
        except StorageRefused as error:
            if len(batch) == 1:
                return {batch[0].key: error.message}
            half = len(batch) // 2
            return {**self._commit_parts(batch[:half]), **self._commit_parts(batch[half:])}
        return {}

    def _absolute(self, one: wire.Operation) -> wire.Operation:
        if isinstance(one, wire.Put):
            return one._replace(key=self._root + one.key)
        return wire.Delete(self._root + one.key, None if one.end is None else self._root + one.end)

    # --- Reading -----------------------------------------------------------------------------------------------------

    def _get(self, keys: t.Sequence[str]) -> t.List[t.Optional[wire.Kv]]:
        """Keys, all as they are at one revision where that is not too much at once."""
        try:
            return self._client.transact([], [wire.Get(self._root + key) for key in keys]).found
        except (TooMuch, StorageRefused):
            if len(keys) == 1:
                raise
            half = len(keys) // 2
            return [*self._get(keys[:half]), *self._get(keys[half:])]

    def _scan(self, prefix: str, revision: int = 0, keys_only: bool = False) -> t.Tuple[t.List[wire.Kv], int]:
        """What is below a prefix, by keys without what is before it, and at which revision."""
        kvs, at = self._client.scan(self._root + prefix, revision, keys_only)
        return [kv._replace(key=kv.key[len(self._root) :]) for kv in kvs], at

    def _unless_compacted(self, read: t.Callable[[], _Read]) -> _Read:
        """What is read, from the start where what is read meanwhile becomes too old."""
        for _attempt in range(_READS - 1):
            with contextlib.suppress(Compacted):
                return read()
        return read()

    def _key(self, name: str) -> str:
        return self._root + name


def open_etcd(
    endpoints: t.Sequence[str],
    cluster: str,
    prefix: str = "ganeti/",
    name: str = "",
    patience: t.Optional[float] = None,
    **access: t.Any,
) -> EtcdStorage:
    """The storage of a cluster on these members, of which all nodes see the same; *access* as Access takes it."""
    return EtcdStorage(Client(Access(endpoints, **access), PATIENCE if patience is None else patience), cluster, prefix, name)
