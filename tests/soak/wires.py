# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The network between nodes and servers: each way from one to another is a wire of its own, which can be cut, or hold what is sent."""

from __future__ import annotations

import asyncio
import threading
import typing as t

OPEN, CUT, HELD, MUTE = "open", "cut", "held", "mute"
"""A wire that is cut ends all connections and refuses new ones. One that is held keeps all that is sent; one that is mute lets requests through, and keeps
the answers. What was kept goes on when the wire is open again, as TCP has it."""


class Wire:
    """Listens on a port of its own, and carries what comes there to a port, and back."""

    def __init__(self, loop: asyncio.AbstractEventLoop, target: int) -> None:
        self._loop = loop
        self._target = target
        self._state = OPEN
        self._passes: t.Dict[str, asyncio.Event] = {}
        self._open: t.Set[asyncio.WriteTransport] = set()
        self._server: t.Optional[asyncio.AbstractServer] = None
        self.port = 0

    async def listen(self) -> None:
        """Begin."""
        self._passes = {direction: asyncio.Event() for direction in ("there", "back")}
        for event in self._passes.values():
            event.set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def become(self, state: str) -> None:
        """Be open, cut, held or mute from now on."""
        done = threading.Event()
        self._loop.call_soon_threadsafe(self._become, state, done)
        done.wait()

    def _become(self, state: str, done: threading.Event) -> None:
        self._state = state
        for direction, event in self._passes.items():
            if state == HELD or (state == MUTE and direction == "back"):
                event.clear()
            else:
                event.set()
        if state == CUT:
            for transport in list(self._open):
                transport.abort()
        done.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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


class Wires:
    """Makes wires, and has them carried by a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def make(self, target: int) -> Wire:
        """A wire to a port."""
        wire = Wire(self._loop, target)
        asyncio.run_coroutine_threadsafe(wire.listen(), self._loop).result()
        return wire

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
