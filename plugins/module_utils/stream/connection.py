# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The connections of lanes: made, admitted, and watched for a peer that is dead.

A move must not end, nor wait, because of somebody else on the port. So the
listening end shakes hands with all who come side by side, each for a limited
time, and takes only who shows the move's identity; the calling end tries again
until its time is up.
"""

from __future__ import annotations

import os
import selectors
import socket
import ssl
import struct
import threading
import time
import typing as t

from . import frames, tls
from .control import Controller
from .errors import EndpointError

Connection = t.Union[socket.socket, ssl.SSLSocket]

_CONNECT = 5.0
_HANDSHAKE = 10.0
_RETRY = 0.2

_MOST_CALLERS = 256
"""How many may be shaking hands at a time; the oldest makes room."""

_DEAD_AFTER = 30.0
"""Seconds without any answer from the peer's kernel after which it is taken for dead."""

_WATCH = 5.0
_UNANSWERED = 2

_NOT_YET_VALID, _EXPIRED = 9, 10
"""The validity of certificates, as OpenSSL numbers what it finds (X509_V_ERR_*)."""


class WrongClock(EndpointError):
    """A certificate of this move is not valid by this node's clock."""


class Rendezvous(t.NamedTuple):
    """Where the two ends of a move meet, and over how many lanes; without a context nothing is encrypted."""

    address: str
    port: int
    context: t.Optional[ssl.SSLContext]
    move_id: str
    lanes: int


def dial(rendezvous: Rendezvous, controller: Controller, seconds: float) -> t.List[Connection]:
    """Connect all lanes to the destination, trying for *seconds* in all."""
    deadline = time.monotonic() + seconds
    return [_dial(rendezvous, number, controller, deadline) for number in range(rendezvous.lanes)]


def _dial(rendezvous: Rendezvous, number: int, controller: Controller, deadline: float) -> Connection:
    while True:
        controller.poll()
        try:
            return _try(rendezvous, number)
        except WrongClock:
            raise
        except (OSError, EndpointError) as error:
            # Whatever else it is may be somebody else's doing: a full queue of connections, a stranger who was taken first.
            if time.monotonic() > deadline or _is_refusal(error):
                raise _unreached(rendezvous, error) from error
            time.sleep(_RETRY)


def _try(rendezvous: Rendezvous, number: int) -> Connection:
    plain = socket.create_connection((rendezvous.address, rendezvous.port), timeout=_CONNECT)
    try:
        plain.settimeout(_HANDSHAKE)
        connection: Connection = plain
        if rendezvous.context is not None:
            connection = plain = rendezvous.context.wrap_socket(plain, server_hostname=tls.certificate_names(rendezvous.move_id)[1])
        connection.sendall(frames.pack_hello(rendezvous.move_id, number, rendezvous.lanes))
        if receive_exactly(connection, len(frames.ACCEPTED)) != frames.ACCEPTED:
            raise EndpointError("somebody else answers there")
        make_ready(connection)
        return connection
    except ssl.SSLCertVerificationError as error:
        plain.close()
        _check_clock(error)
        raise
    except BaseException:
        plain.close()
        raise


def _check_clock(error: ssl.SSLCertVerificationError) -> None:
    """Raise WrongClock where a certificate failed for its time alone, which is found only after its signature was found good."""
    if error.verify_code in (_NOT_YET_VALID, _EXPIRED):
        raise WrongClock("The certificate of the other node is not valid by the clock of this one: set the clock right.", clock=time.time()) from error


def _unreached(rendezvous: Rendezvous, error: Exception) -> EndpointError:
    """Why no connection came to be, as the last try says."""
    why = str(error.strerror or error) if isinstance(error, OSError) else str(error)
    said = f"Cannot connect to the destination node at {rendezvous.address} port {rendezvous.port}: {why.rstrip('.')}."
    return EndpointError(said, secondary=_is_secondary(error))


def _is_refusal(error: Exception) -> bool:
    """Whether the other end speaks TLS and does not want this one: it will say the same again."""
    return isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "")


def _is_secondary(error: Exception) -> bool:
    """Whether the other end may know better: the connection was made and then ended there."""
    return isinstance(error, (EndpointError, ssl.SSLError, ConnectionResetError, BrokenPipeError))


class Caller:
    """Somebody who has connected, and has not shown yet that he is the source of this move."""

    def __init__(self, plain: socket.socket, rendezvous: Rendezvous) -> None:
        self.deadline = time.monotonic() + _HANDSHAKE
        plain.setblocking(False)
        self.connection: Connection = plain
        self._rendezvous = rendezvous
        self._shaken = rendezvous.context is None
        self._hello = b""
        if rendezvous.context is not None:
            self.connection = rendezvous.context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)

    def advance(self) -> int:
        """Go on as far as it goes: what to wait for on the connection, or 0 once the greeting is complete.

        Raises OSError or EndpointError where it is not the source; WrongClock where it is, by an authority of this move, at another time.
        """
        try:
            if not self._shaken:
                self._shake()
            while len(self._hello) < frames.HELLO.size:
                data = self.connection.recv(frames.HELLO.size - len(self._hello))
                if not data:
                    raise EndpointError("The other node ended the connection early.", secondary=True)
                self._hello += data
        except (ssl.SSLWantReadError, BlockingIOError):
            return selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            return selectors.EVENT_WRITE
        return 0

    def admit(self) -> int:
        """Greet the lane and make its connection ready for data; its number."""
        number = frames.check_hello(self._hello, self._rendezvous.move_id, self._rendezvous.lanes)
        self.connection.sendall(frames.ACCEPTED)
        make_ready(self.connection)
        return number

    def _shake(self) -> None:
        connection = t.cast(ssl.SSLSocket, self.connection)
        try:
            connection.do_handshake()
        except ssl.SSLCertVerificationError as error:
            _check_clock(error)
            raise
        if tls.certificate_names(self._rendezvous.move_id)[0] not in tls.peer_names(connection):
            raise EndpointError("The certificate of the sender carries another name.")
        self._shaken = True


class Gate:
    """The listening end: lets the lanes of a move in, and turns away whoever else comes."""

    def __init__(self, rendezvous: Rendezvous) -> None:
        self._rendezvous = rendezvous
        self._callers: t.Dict[int, Caller] = {}
        """By descriptor, the oldest first."""
        self._admitted: t.Dict[int, Connection] = {}
        self._selector = selectors.DefaultSelector()
        self._listener = listen(rendezvous.address, rendezvous.port)
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_error: object) -> None:
        for caller in self._callers.values():
            caller.connection.close()
        self._callers.clear()
        self._listener.close()
        self._selector.close()

    def admit(self, controller: Controller, seconds: t.Optional[float] = None) -> t.List[Connection]:
        """Wait until all lanes are there; raise EndpointError where the controller goes, or *seconds* pass, before."""
        deadline = None if seconds is None else time.monotonic() + seconds
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(controller.descriptor, selectors.EVENT_READ)
        while len(self._admitted) < self._rendezvous.lanes:
            for key, _events in self._selector.select(1.0):
                if key.fd == controller.descriptor:
                    controller.read_input()
                elif key.fileobj is self._listener:
                    self._let_in()
                elif key.fd in self._callers:  # it may have made room for another since
                    self._advance(key.fd)
            controller.check()
            now = time.monotonic()
            self._drop([fd for fd, caller in self._callers.items() if caller.deadline < now])
            if deadline is not None and now > deadline:
                raise EndpointError("Nobody who belongs to this move has connected.", secondary=True)
        return [self._admitted[number] for number in sorted(self._admitted)]

    def _let_in(self) -> None:
        try:
            plain, _address = self._listener.accept()
        except OSError:  # who came is gone already
            return
        if len(self._callers) >= _MOST_CALLERS:
            self._drop([next(iter(self._callers))])
        try:
            caller = Caller(plain, self._rendezvous)
        except OSError:
            # Gone while its handshake was set up.
            plain.close()
            return
        self._callers[caller.connection.fileno()] = caller
        self._selector.register(caller.connection, selectors.EVENT_READ)

    def _advance(self, descriptor: int) -> None:
        caller = self._callers[descriptor]
        try:
            wanted = caller.advance()
            if wanted:
                self._selector.modify(descriptor, wanted)
                return
            number = caller.admit()
        except WrongClock:
            raise
        except (OSError, EndpointError, ValueError):
            self._drop([descriptor])
            return
        self._selector.unregister(descriptor)
        del self._callers[descriptor]
        before = self._admitted.pop(number, None)
        if before is not None:  # the source has dialled this lane again, as its first connection broke
            before.close()
        self._admitted[number] = caller.connection

    def _drop(self, descriptors: t.Iterable[int]) -> None:
        for descriptor in descriptors:
            self._selector.unregister(descriptor)
            self._callers.pop(descriptor).connection.close()


def listen(address: str, port: int) -> socket.socket:
    """A socket that lanes can connect to; port 0 is any that is free."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family, backlog=1024)
    except OSError as error:
        raise EndpointError(f"Cannot listen on {address} port {port}: {error.strerror}. Choose another port.") from error


def receive_exactly(connection: socket.socket, count: int) -> bytes:
    """Return *count* bytes; raise EndpointError when the peer ends before."""
    result = b""
    while len(result) < count:
        data = connection.recv(count - len(result))
        if not data:
            raise EndpointError("The other node ended the connection early.", secondary=True)
        result += data
    return result


def make_ready(connection: Connection) -> None:
    """Block without a Python timeout, which would cost a poll a call, and let the kernel find out whether an idle peer is alive.

    Not TCP_USER_TIMEOUT: it counts the time in which a living peer takes nothing,
    so that a disk which pauses would end the connection. `Watch` tells the two apart.
    """
    connection.settimeout(None)
    for level, option, value in (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    ):
        connection.setsockopt(level, option, value)


def close_all(connections: t.Iterable[Connection], but: t.Optional[Connection] = None) -> None:
    """Close this process's ends; another process that has them goes on."""
    for connection in connections:
        if connection is not but:
            connection.close()


class Liveness(t.NamedTuple):
    """What the kernel knows of a peer's kernel: packets sent again and probes without an answer since the last, and seconds since then."""

    unanswered: int
    silent: float

    @property
    def dead(self) -> bool:
        """Whether the peer is gone. A living one that takes no data still answers the kernel's probes."""
        return self.unanswered >= _UNANSWERED and self.silent >= _DEAD_AFTER


_TCP_INFO = struct.Struct("=2xBB52xI")
"""linux/tcp.h: eight bytes, of which the third counts retransmissions and the fourth probes; then numbers, the 13th of which are milliseconds since an
answer."""


def liveness(connection: socket.socket) -> Liveness:
    """What the kernel has heard of the peer's lately."""
    again, probes, silent = _TCP_INFO.unpack(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size))
    return Liveness(again + probes, silent / 1000)


class Watch(threading.Thread):
    """Ends this process when the peer of its connection is dead, which a blocked write would find out after a quarter of an hour."""

    def __init__(self, connection: socket.socket, failed: t.Callable[[str, bool], None]) -> None:
        super().__init__(daemon=True)
        self._connection, self._failed = connection, failed

    def run(self) -> None:
        while True:
            time.sleep(_WATCH)
            try:
                found = liveness(self._connection)
            except OSError:  # it is closed, which the main thread knows
                return
            if found.dead:
                self._failed(f"The connection to the other node broke: it has not answered for {found.silent:.0f} seconds.", False)
                os._exit(1)
