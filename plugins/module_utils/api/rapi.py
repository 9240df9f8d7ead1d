# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""RAPI: a cluster by HTTPS from anywhere, as a user of its users file.

Each request is a connection of its own. The server is verified before the password is sent: by a CA and its name, or
by its certificate's fingerprint, for Ganeti's own certificate is self-signed and carries no node's name.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import http.client
import json
import re
import socket
import ssl
import time
import typing as t

from .._errors import AuthenticationFailed, ConnectionFailed, HostKeyUnknown, InvalidInput, RequestRefused
from .answers import ECODES, GanetiFault, existing_job, is_one_item, no_job, query_rows
from .cluster import Cluster, JobChange, JobStatus
from .luxi import job_change
from .opcodes import rapi_request, scrub

PORT = 5080
#: Seconds to wait for an answer.
ANSWER_TIMEOUT = 60.0
#: Seconds that RAPI itself waits for a job to change (Ganeti: rapi/rlib2.py, _WFJC_TIMEOUT); a client cannot choose.
_SERVER_WAIT = 10.0
#: Seconds between two looks at a job where the wait is to be shorter than that.
_POLL = 1.0
#: Bytes.
MAX_ANSWER = 256 * 1024 * 1024
_RETRIES = (0.5, 2.0)
#: Kinds of items that RAPI can be asked about (Ganeti: QR_VIA_RAPI), beside os, which has a way of its own.
_KINDS = ("export", "filter", "group", "instance", "job", "lock", "network", "node")
#: What HTTP statuses mean here, beside those with a type of error of their own (Ganeti: http/__init__.py; rapi/baserlib.py).
_MEANINGS = {
    403: "is forbidden",
    404: "does not exist on this cluster",
    500: "failed inside RAPI, /var/log/ganeti/rapi-daemon.log on the master says why",
    501: "is not something that this RAPI does",
    503: "is refused for now",
}


class RapiOptions(t.NamedTuple):
    """How to reach RAPI. ``fingerprint``: SHA-256 of the server's certificate in hex; then no CA and no name is looked at."""

    port: int = PORT
    username: t.Optional[str] = None
    password: t.Optional[str] = None
    ca_path: t.Optional[str] = None
    fingerprint: t.Optional[str] = None
    timeout: float = ANSWER_TIMEOUT

    def __repr__(self) -> str:
        return f"<RapiOptions {self.username}, port {self.port}>"


def rapi_options(options: t.Mapping[str, t.Any]) -> RapiOptions:
    """The options out of a dict; what is None or missing takes its default. Raises InvalidInput."""
    unknown = sorted(set(options) - set(RapiOptions._fields))
    if unknown:
        raise InvalidInput(f"There is no RAPI option {', '.join(unknown)}")
    given = RapiOptions(**{name: value for name, value in options.items() if value is not None})
    if given.username and ":" in given.username:
        raise InvalidInput("The name of a RAPI user has no colon in it")
    if given.fingerprint is None:
        return given
    pin = re.sub(r"[:\s]", "", given.fingerprint).lower()
    if not re.fullmatch(r"[0-9a-f]{64}", pin):
        raise InvalidInput(
            "The fingerprint of RAPI's certificate is not a SHA-256 in hex: get it on the master with "
            "openssl x509 -in /var/lib/ganeti/rapi.pem -noout -fingerprint -sha256"
        )
    return given._replace(fingerprint=pin)


class _Response(t.NamedTuple):
    status: int
    body: t.Any


class RapiCluster(Cluster):
    """A cluster reached by its RAPI."""

    transport = "rapi"

    def __init__(self, address: str, options: t.Mapping[str, t.Any]) -> None:
        self.address = address
        self._options = rapi_options(options)
        self._context = _tls_context(self._options)

    def info(self) -> t.Dict[str, t.Any]:
        result = self._read("GET", "/2/info")
        if not isinstance(result, dict):
            raise ConnectionFailed(f"{self.address} described its cluster in a form that is not Ganeti's")
        return result

    def query(self, what: str, fields: t.Sequence[str], qfilter: t.Any = None) -> t.List[t.Dict[str, t.Any]]:
        if what == "os":
            return _os_rows(self._read("GET", "/2/os"), fields, qfilter)
        if what not in _KINDS:
            raise RequestRefused(f"RAPI cannot be asked about {what}, only about {', '.join(_KINDS)} and os", ecode="wrong_input")
        try:
            answer = self._read("PUT", f"/2/query/{what}", {"fields": list(fields), "qfilter": qfilter})
        except RequestRefused as error:
            if error.ecode == "unknown_entity" and is_one_item(qfilter):
                return []
            raise
        return query_rows(what, fields, answer)

    def submit(self, opcodes: t.Sequence[t.Mapping[str, t.Any]]) -> int:
        if len(opcodes) != 1:
            raise RequestRefused("RAPI takes one opcode a job: submit them one by one, or use transport ssh", ecode="wrong_input")
        request = rapi_request(opcodes[0])
        try:
            return int(self._request(request.method, request.target, request.body))
        except RequestRefused as error:
            # The original may quote what was sent: nothing of it may show up as the cause.
            raise RequestRefused(scrub(error.message, opcodes[0]), **error.details) from None

    def job(self, job_id: int) -> JobStatus:
        try:
            job = self._read("GET", f"/2/jobs/{int(job_id)}")
        except RequestRefused as error:
            if error.details.get("http_status") != 404:
                raise
            raise no_job(job_id, self.address) from error
        return existing_job(job_id, self.address, job)

    def wait_for_job_change(
        self, job_id: int, last_status: t.Optional[str], last_log_serial: t.Optional[int], timeout: float
    ) -> t.Optional[JobChange]:
        if timeout < _SERVER_WAIT:
            return self._poll(job_id, last_status, last_log_serial, time.monotonic() + timeout)
        body = {
            "fields": ["status"],
            "previous_job_info": None if last_status is None else [last_status],
            "previous_log_serial": last_log_serial,
        }
        try:
            answer = self._read("GET", f"/2/jobs/{int(job_id)}/wait", body, self._options.timeout + _SERVER_WAIT)
        except RequestRefused:
            # RAPI has no words of its own for a job that does not exist.
            self.job(job_id)
            raise
        return job_change(job_id, answer and [answer.get("job_info"), answer.get("log_entries")], last_status)

    def _poll(self, job_id: int, last_status: t.Optional[str], last_log_serial: t.Optional[int], deadline: float) -> t.Optional[JobChange]:
        """Waiting for less long than RAPI would."""
        while True:
            job = self.job(job_id)
            log = [entry for part in job["oplog"] for entry in part if last_log_serial is None or entry.serial > last_log_serial]
            if log or job["status"] != last_status:
                return JobChange(job["status"], log)
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(_POLL, left))

    def cancel(self, job_id: int) -> t.Tuple[bool, str]:
        done, words = self._read("DELETE", f"/2/jobs/{int(job_id)}")
        return bool(done), str(words)

    def close(self) -> None:
        """Nothing is kept open."""

    def _read(self, method: str, target: str, body: t.Any = None, timeout: t.Optional[float] = None) -> t.Any:
        """A request that may be repeated: it is, twice, where the server could not be reached."""
        for delay in _RETRIES:
            try:
                return self._request(method, target, body, timeout)
            except (AuthenticationFailed, HostKeyUnknown):
                raise
            except ConnectionFailed:
                time.sleep(delay)
        return self._request(method, target, body, timeout)

    def _request(self, method: str, target: str, body: t.Any = None, timeout: t.Optional[float] = None) -> t.Any:
        connection = _PinnedConnection(self.address, self._options, self._context, timeout or self._options.timeout)
        try:
            connection.request(method, target, None if body is None else json.dumps(body), self._headers())
            response = _parse(connection.getresponse())
        except ssl.SSLCertVerificationError as error:
            raise HostKeyUnknown(
                f"The certificate of RAPI at {self._where} is not trusted ({error.verify_message}): name its CA, or "
                "its SHA-256 fingerprint, in the options"
            ) from error
        except socket.timeout as error:
            raise ConnectionFailed(f"RAPI at {self._where} did not answer in time") from error
        except socket.gaierror as error:
            raise ConnectionFailed(f"The name {self.address} does not resolve") from error
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionFailed(
                f"RAPI at {self._where} cannot be reached: {getattr(error, 'strerror', None) or error}; is "
                "ganeti-rapi running there, and bound to this address (RAPI_ARGS in /etc/default/ganeti)?"
            ) from error
        finally:
            connection.close()
        if response.status == 200:
            return response.body
        self._fail(method, target, response)

    @property
    def _where(self) -> str:
        return f"{self.address}:{self._options.port}"

    def _headers(self) -> t.Dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Connection": "close"}
        if self._options.username:
            credentials = f"{self._options.username}:{self._options.password or ''}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(credentials).decode("ascii")
        return headers

    def _fail(self, method: str, target: str, response: _Response) -> t.NoReturn:
        """Raise what a status means here (Ganeti: http/__init__.py; rapi/baserlib.py)."""
        said = _said(response.body)
        words = f" ({said})" if said else ""
        user = self._options.username or "an anonymous user"
        path = target.split("?", 1)[0]
        if response.status == 401:
            raise AuthenticationFailed(
                f"RAPI at {self._where} does not let {user} in: the user or the password is wrong "
                "(/var/lib/ganeti/rapi/users on the master)"
            )
        if response.status == 403 and said in ("", "Forbidden"):
            raise AuthenticationFailed(
                f"RAPI at {self._where} forbids {method} {path} to {user}: "
                "does the user have write access (/var/lib/ganeti/rapi/users on the master)?"
            )
        refusal = refused_behind(response.status, said)
        if response.status in (502, 504) and refusal is None:
            raise ConnectionFailed(f"RAPI at {self._where} does not reach Ganeti's luxid behind it{words}")
        if refusal is not None:
            raise RequestRefused(f"Ganeti refused {method} {path} on {self._where}: {refusal.message}", ecode=refusal.ecode)
        meaning = _MEANINGS.get(response.status, f"failed with HTTP status {response.status}")
        ecode = "unknown_entity" if response.status == 404 else None
        raise RequestRefused(f"{method} {path} on {self._where} {meaning}{words}", http_status=response.status, ecode=ecode)


class _PinnedConnection(http.client.HTTPSConnection):
    """An HTTPS connection that compares the server's certificate with the pinned one before anything is sent."""

    def __init__(self, address: str, options: RapiOptions, context: ssl.SSLContext, timeout: float) -> None:
        super().__init__(address, options.port, timeout=timeout, context=context)
        self._pin = options.fingerprint

    def connect(self) -> None:
        super().connect()
        if self._pin is None:
            return
        certificate = t.cast(ssl.SSLSocket, self.sock).getpeercert(binary_form=True)
        actual = hashlib.sha256(certificate or b"").hexdigest()
        if not hmac.compare_digest(actual, self._pin):
            self.close()
            raise HostKeyUnknown(
                f"The certificate of RAPI at {self.host}:{self.port} has the fingerprint {actual}, not the pinned "
                f"{self._pin}: verify it on the master with openssl x509 -in /var/lib/ganeti/rapi.pem -noout "
                "-fingerprint -sha256"
            )


def _tls_context(options: RapiOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.ca_path)
    except FileNotFoundError as error:
        raise InvalidInput(f"The CA file {options.ca_path} does not exist") from error
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(f"The CA file {options.ca_path} cannot be used: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.fingerprint is not None:
        # The pin is stricter than a CA and a name: exactly one certificate passes.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _parse(response: http.client.HTTPResponse) -> _Response:
    raw = response.read(MAX_ANSWER + 1)
    if len(raw) > MAX_ANSWER:
        raise ConnectionFailed(f"RAPI's answer is longer than {MAX_ANSWER} bytes")
    try:
        return _Response(response.status, json.loads(raw.decode("utf-8")) if raw else None)
    except ValueError as error:
        if response.status == 200:
            raise ConnectionFailed("The answer is not JSON: is this really the port of Ganeti's RAPI?") from error
        return _Response(response.status, None)


def _said(body: t.Any) -> str:
    """RAPI's own words about an error, {"code", "message", "explain"}: the last only explains the status itself."""
    message = body.get("message") if isinstance(body, dict) else None
    return " ".join(html.unescape(str(message or "")).split())


def refused_behind(status: int, said: str) -> t.Optional[GanetiFault]:
    """Ganeti's no to a request, out of the words of RAPI, which wraps it in a status of its own; None where it is none.

    Checks fail with 400 or 500 and "('text', 'code')", luxid's refusals with 502 and their text. A 502 that does not come
    from luxid begins as below (Ganeti: rapi/baserlib.py, GetClient and SubmitJob; server/rapi.py, HandleRequest).
    """
    coded = re.search(r"\(['\"](.*)['\"], '(\w+)'\)", said)
    if coded and coded[2] in ECODES:
        return GanetiFault("OpPrereqError", coded[1], coded[2])
    if status == 502 and said and not said.startswith(("Can't connect", "Master seems", "Bad Gateway")):
        return GanetiFault("", said, None)
    return None


def _os_rows(names: t.Any, fields: t.Sequence[str], qfilter: t.Any) -> t.List[t.Dict[str, t.Any]]:
    """Operating systems out of RAPI's list of "name" and "name+variant"; it says no more about them."""
    missing = sorted(set(fields) - {"name", "variants"})
    if missing or qfilter is not None:
        raise RequestRefused(
            f"RAPI tells only name and variants of an os, {', '.join(missing) or 'without a filter'}: use transport ssh",
            ecode="wrong_input",
        )
    variants: t.Dict[str, t.List[str]] = {}
    for entry in names:
        name, plus, variant = str(entry).partition("+")
        variants.setdefault(name, []).extend([variant] if plus else [])
    return [{field: name if field == "name" else found for field in fields} for name, found in variants.items()]
