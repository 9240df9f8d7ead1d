# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What lies between the frames and TLS: nothing, or a compression tool.

What a tool writes is sent in pieces, each with its length in front, and a
length of zero at the end: so the lane can still answer after its end, which
TLS's own end mark would not allow, and a stream cut short is always noticed.
"""

from __future__ import annotations

import functools
import os
import ssl
import struct

from . import tools
from .connection import receive_exactly
from .errors import EndpointError

_LENGTH = struct.Struct("!I")
_LONGEST = 1024 * 1024


class Output:
    """Frames on their way into a connection."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self._connection = connection
        self._count = 0

    def write(self, data: memoryview) -> None:
        """Send *data*."""
        self._connection.sendall(data)
        self._count += len(data)

    def finish(self) -> None:
        """Make sure that all of it is on its way; raise where a tool failed."""

    def count(self) -> int:
        """Bytes given to TLS so far."""
        return self._count


class Input:
    """Frames out of a connection."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self._connection = connection

    def read_into(self, view: memoryview) -> None:
        """Fill *view*; raise EndpointError when the stream ends before."""
        filled, wanted = 0, len(view)
        while filled < wanted:
            count = self._read_some(view[filled:])
            if not count:
                raise EndpointError("The stream from the source node broke off.", secondary=True)
            filled += count

    def finish(self) -> None:
        """Make sure that nothing follows; raise where a tool failed."""

    def _read_some(self, view: memoryview) -> int:
        return self._connection.recv_into(view)


class CompressedOutput(Output):
    """Frames that go through a compression tool first."""

    def __init__(self, connection: ssl.SSLSocket, tool: str) -> None:
        super().__init__(connection)
        self._tool = tools.RunningTool(tool, decompress=False)
        read = functools.partial(os.read, self._tool.stdout)
        self._pump = tools.Pump(read, self._send, self._end)
        self._pump.start()

    def write(self, data: memoryview) -> None:
        try:
            tools.write_all(self._tool.stdin, data)
        except BrokenPipeError:
            self._pump.result()  # the connection's error, if that is why the tool ended
            self._tool.finish()
            raise

    def finish(self) -> None:
        self._tool.close_stdin()
        self._pump.result()
        self._tool.finish()

    def count(self) -> int:
        return self._pump.count

    def _send(self, data: bytes) -> None:
        self._connection.sendall(_LENGTH.pack(len(data)))
        self._connection.sendall(data)

    def _end(self, good: bool) -> None:
        if good:
            self._connection.sendall(_LENGTH.pack(0))
        else:
            self._tool.close_stdout()


class CompressedInput(Input):
    """Frames that come out of a tool which decompresses."""

    def __init__(self, connection: ssl.SSLSocket, tool: str) -> None:
        super().__init__(connection)
        self._left = 0
        self._tool = tools.RunningTool(tool, decompress=True)
        write = functools.partial(tools.write_all, self._tool.stdin)
        self._pump = tools.Pump(self._receive, write, lambda _good: self._tool.close_stdin())
        self._pump.start()

    def finish(self) -> None:
        if os.read(self._tool.stdout, 1):
            raise EndpointError("The stream goes on behind its end.")
        self._pump.result()
        self._tool.finish()

    def _read_some(self, view: memoryview) -> int:
        count = os.readv(self._tool.stdout, [view])
        if not count:
            self._pump.result()  # why the tool got no more input
            self._tool.finish()
        return count

    def _receive(self, most: int) -> bytes:
        if not self._left:
            self._left = int(_LENGTH.unpack(receive_exactly(self._connection, _LENGTH.size))[0])
            if self._left > _LONGEST:
                raise EndpointError(f"The source node announced a piece of {self._left} bytes.")
            if not self._left:
                return b""
        data = self._connection.recv(min(most, self._left))
        if not data:
            raise EndpointError("The stream from the source node broke off.", secondary=True)
        self._left -= len(data)
        return data


def output(connection: ssl.SSLSocket, tool: str) -> Output:
    """The way from frames into *connection* through *tool*."""
    return Output(connection) if tool == tools.NO_TOOL else CompressedOutput(connection, tool)


def input_(connection: ssl.SSLSocket, tool: str) -> Input:
    """The way from *connection* to frames through *tool*."""
    return Input(connection) if tool == tools.NO_TOOL else CompressedInput(connection, tool)
