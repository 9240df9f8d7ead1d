# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The network between nodes and servers, and between servers: each way from one to another is a wire of its own, which can be cut, or hold what is sent."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
import typing as t

OPEN, CUT, HELD, MUTE, DEAF = "open", "cut", "held", "mute", "deaf"
"""A wire that is cut ends all connections and refuses new ones. One that is held keeps all that is sent; one that is mute lets requests through, and keeps
the answers; one that is deaf keeps the requests. What was kept goes on when the wire is open again, as TCP has it."""
_KEPT = {HELD: ("there", "back"), MUTE: ("back",), DEAF: ("there",)}


class Wire:
    """Carries what comes to a port, and back; where it is told to listen, from a port of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, target: int) -> None:
        self._loop = loop
        self._target = target
        self._state = OPEN
        self._passes = {direction: asyncio.Event() for direction in ("there", "back")}
        for event in self._passes.values():
            event.set()
        self._open: t.Set[asyncio.WriteTransport] = set()
        self._server: t.Optional[asyncio.AbstractServer] = None
        self.port = 0

    async def listen(self) -> None:
        """Begin."""
        self._server = await asyncio.start_server(self.connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def become(self, state: str) -> None:
        """Be in one of the states above from now on."""
        done = threading.Event()
        self._loop.call_soon_threadsafe(self._become, state, done)
        done.wait()

    def _become(self, state: str, done: threading.Event) -> None:
        self._state = state
        for direction, event in self._passes.items():
            if direction in _KEPT.get(state, ()):
                event.clear()
            else:
                event.set()
        if state == CUT:
            for transport in list(self._open):
                transport.abort()
        done.set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry a connection, to its end."""
        self._open.add(writer.transport)
        try:
            if self._state == CUT:
                return
            reader_there, writer_there = await asyncio.open_connection("127.0.0.1", self._target)
            self._open.add(writer_there.transport)
            try:
                ways = ((reader, writer_there, "there"), (reader_there, writer, "back"))
                await asyncio.gather(*(self._carry(*way) for way in ways))
            finally:
                self._end(writer_there)
        except OSError:  # whoever is at the other end sees it: that is what a network does
            return
        finally:
            self._end(writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str) -> None:
        while True:
            data = await reader.read(1 << 16)
            await self._passes[direction].wait()
            if not data:
                writer.close()  # which ends the other way as well: nobody here sends on after that
                return
            writer.write(data)
            await writer.drain()

    def _end(self, writer: asyncio.StreamWriter) -> None:
        self._open.discard(writer.transport)
        writer.transport.abort()


def become(wires: t.Iterable[Wire], state: str) -> None:
    """Have several wires be so."""
    for wire in wires:
        wire.become(state)


class Junction:
    """A port to which several processes come, each of them over a wire of its own: where all are told the same address, as members of an etcd are."""

    def __init__(self, wire: t.Callable[[t.Callable[[int], bool]], t.Optional[Wire]]) -> None:
        """*wire* is told how to ask whether a process, by its id, is the one that has come, and chooses the wire."""
        self._wire = wire
        self._server: t.Optional[asyncio.AbstractServer] = None
        self.port = 0

    async def listen(self) -> None:
        """Begin."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inode = _inode(writer.get_extra_info("peername")[1], self.port)
        wire = self._wire(lambda process: inode is not None and _has_open(process, inode))
        if wire is None:  # it has ended since, or has gone
            writer.transport.abort()
        else:
            await wire.connected(reader, writer)


_NETLINK_SOCK_DIAG, _SOCK_DIAG, _REQUEST, _ANY = 4, 20, 1, 0xFFFFFFFF
_HEADER, _SOCKET = struct.Struct("=IHHII"), struct.Struct("!HH4s12x4s12x")


def _inode(port: int, other: int) -> t.Optional[str]:
    """The socket on loopback that leads from a port to another. The kernel is asked for this one: to read all of them takes long where there are many."""
    loopback = socket.inet_aton("127.0.0.1")
    body = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, _ANY) + _SOCKET.pack(port, other, loopback, loopback)
    body += struct.pack("=III", 0, _ANY, _ANY)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as asked:
        asked.send(_HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG, _REQUEST, 0, 0) + body)
        said = asked.recv(4096)
    if _HEADER.unpack_from(said)[1] != _SOCK_DIAG:  # an error: there is none any more
        return None
    return str(struct.unpack_from("=I", said, _HEADER.size + 4 + 48 + 16)[0])


def _has_open(process: int, inode: str) -> bool:
    """Whether a process has a socket."""
    place = f"/proc/{process}/fd"
    try:
        names = os.listdir(place)
    except FileNotFoundError:  # it has ended
        return False
    return any(_leads_to(f"{place}/{name}", f"socket:[{inode}]") for name in names)


def _leads_to(link: str, target: str) -> bool:
    try:
        return os.readlink(link) == target
    except FileNotFoundError:  # it was closed a moment ago
        return False


class Wires:
    """Makes wires, and has them carried by a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def make(self, target: int) -> Wire:
        """A wire to a port, with a port of its own."""
        wire = self.lay(target)
        asyncio.run_coroutine_threadsafe(wire.listen(), self._loop).result()
        return wire

    def lay(self, target: int) -> Wire:
        """A wire to a port, for a junction."""
        return Wire(self._loop, target)

    def join(self, wire: t.Callable[[t.Callable[[int], bool]], t.Optional[Wire]]) -> Junction:
        """A junction that chooses among wires."""
        junction = Junction(wire)
        asyncio.run_coroutine_threadsafe(junction.listen(), self._loop).result()
        return junction

    def close(self) -> None:
        """End all of them."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
