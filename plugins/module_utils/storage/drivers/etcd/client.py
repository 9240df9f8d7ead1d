# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A small client of etcd's JSON gateway (API v3, etcd 3.4 and later): several members, the next one where one fails.

All reads are linearizable: they see what was written before, whichever member is asked, and a majority has to be there for them. A request may be
sent twice, to another member, where the answer to the first is lost. So may a write: whoever writes sends transactions that compare (see fence.py).
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
import typing as t

from ...._errors import AuthenticationFailed, ConnectionFailed, InvalidInput, StorageFailed, StorageRefused
from . import wire
from .endpoints import Access, Endpoint

PATIENCE = 20.0
"""How long a request may take, with all members that it is tried at."""
_EACH_SECONDS = 5.0
"""How long a member may be silent. One whose leader has just died waits for seven seconds before it says so; another may have a new leader by now."""
_CONNECT_SECONDS = 3.0
"""How long a connection may take: packets to the address of a machine that is off are lost without a word."""
_PAUSE = 0.2
_ROUNDS = 2
"""How often all members are tried. Where one says that a leader is elected just now, which takes seconds on a busy machine, for as long as there is time."""
_ANSWER_BYTES = 256 << 20
"""What an answer may be at most. A page of our own is far smaller."""
_PAGE, _KEYS_PAGE = 500, 10000
"""Keys in one answer at first, with their values and without."""
_TIMEOUTS = (TimeoutError, socket.timeout)
"""Two names for one thing from Python 3.10 on."""
_LARGER = "To have it stored, raise max-request-bytes in etcd's configuration."
_HEADERS = {"Accept": "application/json", "Content-Type": "application/json"}

_INVALID, _DEADLINE, _DENIED, _EXHAUSTED, _PRECONDITION, _OUT_OF_RANGE, _UNAVAILABLE, _UNAUTHENTICATED = 3, 4, 7, 8, 9, 11, 14, 16
"""What gRPC calls kinds of errors, in the field ``code``."""
_ELSEWHERE = (_DEADLINE, _UNAVAILABLE)
"""What another member, or a second try, may do better."""
_ELECTION = ("no leader", "leader changed")
_PASSING = (*_ELECTION, "too many requests", "context deadline exceeded", "context canceled")
"""The same, in errors whose code does not say so."""


class Compacted(StorageFailed):
    """What was asked for is older than what etcd has kept."""


class TooMuch(StorageFailed):
    """The answer is larger than etcd passes on at once."""


class _Elsewhere(Exception):
    """A member does not do it now; another may."""

    @property
    def is_election(self) -> bool:
        """Whether the member said that a leader is elected just now."""
        return any(each in str(self) for each in _ELECTION)


class _Stale(Exception):
    """The token is not taken any more."""


class Client:
    """Speaks with a cluster of etcd. Not for several threads at once. *seconds* is how long a request may take."""

    def __init__(self, access: Access, seconds: float = PATIENCE) -> None:
        self.access = access
        self._seconds = seconds
        self._order = list(access.endpoints)
        """The member that answered last comes first."""
        self._connection: t.Optional[http.client.HTTPConnection] = None
        self._connected: t.Optional[Endpoint] = None
        self._token: t.Optional[str] = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = self._connected = None

    # --- What etcd does ------------------------------------------------------------------------------------------------

    def get(self, key: str, revision: int = 0) -> t.Optional[wire.Kv]:
        """A key, now or as it was at a revision; None where it is, or was, not there."""
        kvs = self.range(key, revision=revision).kvs
        return kvs[0] if kvs else None

    def range(self, key: str, end: t.Optional[str] = None, **options: t.Any) -> wire.Page:
        """Read a key, or those up to *end*: revision, limit, keys_only, count_only, min_mod_revision, serializable. Raises Compacted, and TooMuch."""
        return wire.page(self.ask("/v3/kv/range", wire.range_request(key, end, **options)))

    def scan(self, prefix: str, revision: int = 0, keys_only: bool = False) -> t.Tuple[t.List[wire.Kv], int]:
        """All keys that begin with *prefix*, as they were at one revision, whatever is written meanwhile; and that revision. Raises Compacted."""
        found: t.List[wire.Kv] = []
        key, end, limit = prefix, wire.end_of(prefix), _KEYS_PAGE if keys_only else _PAGE
        while True:
            try:
                page = self.range(key, end, revision=revision, limit=limit, keys_only=keys_only)
            except TooMuch:
                if limit == 1:
                    raise
                limit = max(limit // 4, 1)
                continue
            found += page.kvs
            revision = revision or page.revision
            if not page.more:
                return found, revision
            key = wire.after(page.kvs[-1].key)

    def transact(self, compares: t.Sequence[wire.Compare], then: t.Sequence[t.Any], otherwise: t.Sequence[wire.Get] = ()) -> wire.Outcome:
        """Do all of *then* at once where all comparisons hold, else *otherwise*. Raises StorageRefused where it is too large, TooMuch where the answer is."""
        try:
            return wire.outcome(self.ask("/v3/kv/txn", wire.transaction(compares, then, otherwise)))
        except TooMuch as error:
            if any(isinstance(each, wire.Put) for each in then):  # etcd says the same of requests and of answers, and writing has small ones
                raise StorageRefused(f"{error.message} {_LARGER}") from None
            raise

    def member(self, one: Endpoint) -> wire.Json:
        """What a member says of itself: version, dbSize, leader, raftIndex, errors."""
        with self.of(one) as alone:
            return alone.ask("/v3/maintenance/status", {})

    def of(self, one: Endpoint) -> Client:
        """A client that asks this member and no other."""
        alone = Client(self.access, min(self._seconds, _EACH_SECONDS))
        alone._order, alone._token = [one], self._token
        return alone

    # --- Requests ------------------------------------------------------------------------------------------------------

    def ask(self, where: str, body: wire.Json) -> wire.Json:
        """The answer of the first member that has one. Raises ConnectionFailed, with what each of them said, where none has within the time."""
        data = json.dumps(body).encode("ascii")
        until = time.monotonic() + self._seconds
        problems: t.Dict[Endpoint, str] = {}
        attempts = 0
        while True:
            attempts, elected = attempts + 1, False
            for one in list(self._order):
                if time.monotonic() >= until:
                    break
                try:
                    answer = self._authorized(one, where, data, until)
                except _Elsewhere as error:
                    problems[one] = str(error)
                    elected = elected or error.is_election
                    self.close()
                    continue
                self._order.remove(one)
                self._order.insert(0, one)
                return answer
            if (attempts >= _ROUNDS and not elected) or until - time.monotonic() <= _PAUSE:
                raise ConnectionFailed(self._nobody(problems))
            time.sleep(_PAUSE)

    def _nobody(self, problems: t.Mapping[Endpoint, str]) -> str:
        said = "; ".join(f"{each.url}: {problems.get(each, 'not asked any more')}" for each in self.access.endpoints)
        return f"No member of etcd does what it was asked for ({said}): see whether a majority of the members runs, and can be reached from here."

    def _authorized(self, one: Endpoint, where: str, data: bytes, until: float) -> wire.Json:
        """The answer of a member, with a token that is new enough where a user is named."""
        for attempt in range(2):
            if self.access.username is not None and self._token is None:
                self._token = self._log_in(one, until)
            try:
                return self._good(one, *self._once(one, where, data, until))
            except _Stale as error:
                self._token = None
                if attempt or self.access.username is None:
                    raise AuthenticationFailed(
                        f"etcd at {one.url} lets nobody in without a user ({error}): give username and password, and see that its authentication is on."
                    ) from None
        raise AssertionError("unreachable")

    def _log_in(self, one: Endpoint, until: float) -> str:
        data = json.dumps({"name": self.access.username, "password": self.access.password}).encode("ascii")
        answer = self._good(one, *self._once(one, "/v3/auth/authenticate", data, until))
        token = answer.get("token")
        if not isinstance(token, str) or not token:
            raise AuthenticationFailed(f"etcd at {one.url} gives {self.access.username} no token: see its log.")
        return token

    def _once(self, one: Endpoint, where: str, data: bytes, until: float) -> t.Tuple[int, bytes]:
        """Status and text of a member's answer. A connection that was kept may be closed at the other end by now; then it is asked anew."""
        kept = self._connection is not None and self._connected == one
        for again in (kept, False):
            try:
                return self._exchange(one, where, data, until)
            except ssl.SSLCertVerificationError as error:
                why = f"shows a certificate that cannot be trusted ({error.verify_message}); ca_path is to name its authority's, nothing was sent"
                raise _Elsewhere(why) from error
            except (OSError, http.client.HTTPException) as error:
                if again and not isinstance(error, _TIMEOUTS):
                    continue
                raise _Elsewhere(_reason(error)) from error
        raise AssertionError("unreachable")

    def _exchange(self, one: Endpoint, where: str, data: bytes, until: float) -> t.Tuple[int, bytes]:
        seconds = max(min(until - time.monotonic(), _EACH_SECONDS), 0.001)
        if self._connection is None or self._connected != one:
            self.close()
            connection = self.access.connection(one, min(seconds, _CONNECT_SECONDS))
            connection.connect()
            self._connection, self._connected = connection, one
        if self._connection.sock is not None:
            self._connection.sock.settimeout(seconds)
        try:
            self._connection.request("POST", where, data, {**_HEADERS, **({"Authorization": self._token} if self._token else {})})
            response = self._connection.getresponse()
            return response.status, _read(response, until)
        except BaseException:
            self.close()  # the rest of an answer is not to be taken for the next one
            raise

    def _good(self, one: Endpoint, status: int, text: bytes) -> wire.Json:
        """What was answered, or the error that it is."""
        said = _parse(text)
        if status < 300 and isinstance(said, dict):
            return said
        what = said if isinstance(said, dict) else {}
        reason = str(what.get("message") or what.get("error") or f"HTTP status {status}")[:300]
        raise self._error(one, status, what.get("code"), reason)

    def _error(self, one: Endpoint, status: int, code: t.Any, reason: str) -> Exception:
        at = f"etcd at {one.url}"
        if code == _UNAUTHENTICATED or "user name is empty" in reason or "auth store is old" in reason or "invalid auth token" in reason:
            return _Stale(reason)
        if "authentication failed" in reason:
            return AuthenticationFailed(f"{at} does not let {self.access.username} in ({reason}): check username and password.")
        if "authentication is not enabled" in reason:
            return AuthenticationFailed(
                f"{at} has no authentication, and {self.access.username} is to log in: enable it there (etcdctl auth enable), or give no username."
            )
        if code == _DENIED or status in (401, 403):
            return AuthenticationFailed(f"{at} does not let {self.access.username or 'this certificate'} do this ({reason}): give it a role for the prefix.")
        return _of_request(at, status, code, reason)


def _of_request(at: str, status: int, code: t.Any, reason: str) -> Exception:
    """The error that a request brought about, or the member's state."""
    if "has been compacted" in reason:
        return Compacted(f"{at} has compacted what was asked for: it is too old.")
    if "database space exceeded" in reason:
        todo = "raise quota-backend-bytes or remove what is not needed, then compact, defragment, and disarm the alarm (etcdctl alarm disarm)"
        return StorageFailed(f"{at} takes no more writes, as its database has reached its quota: {todo}.")
    if "request is too large" in reason or "too many operations" in reason:
        return StorageRefused(f"{at} does not take so much at once ({reason}). {_LARGER}")
    if "larger than max" in reason:
        return TooMuch(f"{at} does not take so much at once ({reason}).")
    if code in _ELSEWHERE or status in (502, 503, 504) or any(each in reason for each in _PASSING):
        return _Elsewhere(reason)
    if status == 404:
        return InvalidInput(f"{at} does not know the API v3 of etcd: etcd 3.4 or later is needed, and endpoints are to name its client port.")
    hint = ": see its log, and whether its disk is full" if status >= 500 else ""
    return StorageFailed(f"{at} does not do what it was asked for ({reason}){hint}.")


def _read(response: http.client.HTTPResponse, until: float) -> bytes:
    """An answer's text, within bounds."""
    parts: t.List[bytes] = []
    size = 0
    while True:
        part = response.read1(1 << 20)
        if not part:
            return b"".join(parts)
        size += len(part)
        parts.append(part)
        if size > _ANSWER_BYTES:
            raise TooMuch(f"An answer of etcd is larger than {_ANSWER_BYTES >> 20} MiB, which nothing here asks for: see who writes below this prefix.")
        if time.monotonic() > until:
            raise TimeoutError("its answer does not end")


def _parse(text: bytes) -> t.Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _reason(error: Exception) -> str:
    if isinstance(error, _TIMEOUTS):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
