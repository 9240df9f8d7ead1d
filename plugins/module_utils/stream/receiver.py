# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The destination's endpoint: writes what arrives, within the bounds that were agreed, and makes it durable."""

from __future__ import annotations

import functools
import os
import socket
import ssl
import typing as t

from . import frames, policy, tls
from .connection import accept, listen
from .control import Controller
from .digest import CHECKSUMS, DiskDigest
from .disks import Disk, clear, forget_cache, open_disk, start_writeback
from .errors import EndpointError
from .extents import BLOCK, runs
from .lanes import Reporter, run_lanes
from .pipes import Input, input_
from .sender import totals
from .work import BlockReader, Dealer, data_bytes

_WRITEBACK = 16 * 1024 * 1024


class ReceivePlan(t.NamedTuple):
    """All that the destination's endpoint has to know."""

    move_id: str
    disks: t.Tuple[Disk, ...]
    address: str
    port: int
    lanes: int
    tool: str
    checksum: str
    readback: bool
    identity: tls.Identity
    ciphers: t.Tuple[str, ...] = ()


def receive(plan: ReceivePlan, controller: Controller) -> t.Dict[str, t.Any]:
    """Receive all disks; return the digests of what is on them, once it is on stable storage."""
    policy.check_ciphers(plan.ciphers)
    context = tls.context(plan.identity, server=True, wanted=plan.ciphers)
    descriptors = [open_disk(disk, write=True) for disk in plan.disks]
    for descriptor, disk in zip(descriptors, plan.disks):
        clear(descriptor, disk.size)
    with listen(plan.address, plan.port) as listener:
        controller.say("listening", port=listener.getsockname()[1])
        results = run_lanes(controller, plan.lanes, functools.partial(_work, plan, listener, context), "receive")
    controller.say("progress", phase="sync", done=0, wire=0, total=0)
    for descriptor in descriptors:
        os.fsync(descriptor)
        forget_cache(descriptor)
        os.close(descriptor)
    outcome = totals(results, len(plan.disks))
    if plan.readback:
        outcome["digests"] = read_back(plan.disks, plan.checksum, plan.lanes, controller)
    return outcome


def read_back(disks: t.Tuple[Disk, ...], checksum: str, lanes: int, controller: Controller) -> t.List[str]:
    """Return the digests of *disks* as storage has them."""
    dealer = Dealer(disks, lanes)
    work = functools.partial(_read_work, disks, checksum, dealer, lanes)
    results = run_lanes(controller, lanes + 1, work, "readback", sum(data_bytes(disks)))
    digests: t.List[str] = totals(results, len(disks))["digests"]
    return digests


def _work(plan: ReceivePlan, listener: socket.socket, context: ssl.SSLContext, _lane: int, reporter: Reporter) -> None:
    connection = accept(listener, context, plan.move_id, plan.lanes)
    listener.close()
    policy.check_peer(plan.ciphers, connection.getpeername()[0])
    agreed = tls.negotiated(connection, plan.ciphers)
    source = input_(connection, plan.tool)
    digests, payload = _store_frames(plan, source, reporter)
    source.finish()
    connection.sendall(frames.STORED)
    reporter.finished(digests=[digest.hexdigest() for digest in digests], payload=payload, done=payload, tls=agreed)


def _store_frames(plan: ReceivePlan, source: Input, reporter: Reporter) -> t.Tuple[t.List[DiskDigest], int]:
    """Write the frames of one lane; return the digests and bytes of payload."""
    checksum = CHECKSUMS[plan.checksum]
    sizes = [disk.size for disk in plan.disks]
    descriptors = [open_disk(disk, write=True) for disk in plan.disks]
    digests = [DiskDigest() for _disk in plan.disks]
    header = bytearray(frames.HEADER.size + checksum.size)
    buffer = bytearray(BLOCK)
    head, view = memoryview(header), memoryview(buffer)
    payload = unsynced = 0
    while True:
        source.read_into(head)
        kind, disk, length, offset = frames.parse(head[:frames.HEADER.size], sizes)
        if kind == frames.END:
            return digests, payload
        source.read_into(view[:length])
        value = checksum.of(view[:length])
        if value != header[frames.HEADER.size:]:
            raise EndpointError(f"Disk {disk} arrived damaged at byte {offset}: the checksums differ.")
        digests[disk].add(offset, length, value)
        for start, end in runs(buffer, 0, length):
            _write(descriptors[disk], view[start:end], offset + start, plan.disks[disk].path)
        payload += length
        unsynced += length
        if unsynced >= _WRITEBACK:
            start_writeback(descriptors[disk], max(0, offset + length - _WRITEBACK), _WRITEBACK)
            unsynced = 0
        reporter.progress(payload, 0)


def _write(descriptor: int, view: memoryview, offset: int, path: str) -> None:
    while view:
        try:
            count = os.pwrite(descriptor, view, offset)
        except OSError as error:
            raise EndpointError(f"Cannot write to {path} on the destination node: {error.strerror}.") from error
        view, offset = view[count:], offset + count


def _read_work(disks: t.Tuple[Disk, ...], name: str, dealer: Dealer, lanes: int, lane: int, reporter: Reporter) -> None:
    if lane == lanes:
        dealer.deal()
        reporter.finished()
        return
    digests = [DiskDigest() for _disk in disks]
    reader = BlockReader(disks, dealer)
    view = memoryview(reader.buffer)
    for disk, offset, start, end in reader:
        digests[disk].add(offset, end - start, CHECKSUMS[name].of(view[start:end]))
        reporter.progress(reader.done, 0)
    reporter.finished(digests=[digest.hexdigest() for digest in digests], done=reader.done)
