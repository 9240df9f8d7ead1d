# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The destination's endpoint: writes what arrives, within the bounds that were agreed, and makes it durable."""

from __future__ import annotations

import functools
import os
import ssl
import typing as t

from . import frames, policy, tls
from .clearing import clear
from .connection import Connection, Gate, Lane, close_all
from .control import Controller
from .digest import CHECKSUMS, DiskDigest
from .disks import Disk, check_in_place, open_disk, start_writeback, write_at
from .durable import make_durable
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
    """Receive all disks; return the digests of what is on them, once it is on stable storage.

    The disks are emptied first, then the port opens and is told. All of that can be done while the source still runs.
    """
    policy.check_ciphers(plan.ciphers)
    context = tls.context(plan.identity, server=True, wanted=plan.ciphers)
    descriptors = [open_disk(disk, write=True) for disk in plan.disks]
    lengths = [os.lseek(descriptor, 0, os.SEEK_END) for descriptor in descriptors]
    _on_disks(plan, controller, "clear", lengths, lambda index, tell: clear(plan.disks[index], tell))
    with Gate(Lane(plan.address, plan.port, context, plan.move_id, plan.lanes)) as gate:
        controller.say("listening", port=gate.port)
        connections = gate.admit(controller)
    work = functools.partial(_work, plan, connections)
    results = run_lanes(controller, plan.lanes, work, "receive", forked=functools.partial(close_all, connections))
    _on_disks(plan, controller, "sync", lengths, lambda index, tell: make_durable(plan.disks[index].path, descriptors[index], lengths[index], tell))
    for disk, descriptor in zip(plan.disks, descriptors):
        check_in_place(disk.path, descriptor)
    outcome = totals(results, len(plan.disks))
    if plan.readback:
        outcome["digests"] = read_back(plan.disks, plan.checksum, plan.lanes, controller)
    return outcome


def _on_disks(plan: ReceivePlan, controller: Controller, phase: str, lengths: t.Sequence[int], work: t.Callable[[int, t.Callable[..., None]], object]) -> None:
    """Do *work* on each disk by its index, in as many processes as there may be lanes; it tells how far it is as `Reporter.progress` takes it."""
    count = min(plan.lanes, len(lengths))

    def each(number: int, reporter: Reporter) -> None:
        before = 0
        for index in range(number, len(lengths), count):
            work(index, lambda done, work=0, before=before: reporter.progress(before + done, 0, work))
            before += lengths[index]
        reporter.finished(done=before)

    run_lanes(controller, count, each, phase, sum(lengths))


def read_back(disks: t.Tuple[Disk, ...], checksum: str, lanes: int, controller: Controller) -> t.List[str]:
    """Return the digests of *disks* as storage has them."""
    dealer = Dealer(disks, lanes)
    work = functools.partial(_read_work, disks, checksum, dealer, lanes)
    results = run_lanes(controller, lanes + 1, work, "readback", sum(data_bytes(disks)))
    digests: t.List[str] = totals(results, len(disks))["digests"]
    return digests


def _work(plan: ReceivePlan, connections: t.Sequence[Connection], lane: int, reporter: Reporter) -> None:
    connection = t.cast(ssl.SSLSocket, connections[lane])
    close_all(connections, but=connection)
    policy.check_peer(plan.ciphers, connection.getpeername()[0])
    agreed = tls.negotiated(connection, plan.ciphers)
    source = input_(connection, plan.tool)
    descriptors = [open_disk(disk, write=True) for disk in plan.disks]
    digests, payload = store_frames(plan.disks, descriptors, plan.checksum, source, reporter)
    source.finish()
    connection.sendall(frames.STORED)
    reporter.finished(digests=[digest.hexdigest() for digest in digests], payload=payload, done=payload, tls=agreed)


def store_frames(
    disks: t.Sequence[Disk], descriptors: t.Sequence[int], name: str, source: Input, reporter: Reporter
) -> t.Tuple[t.List[DiskDigest], int]:
    """Write the frames of one lane, with checksums of the kind *name*; return the digests and bytes of payload."""
    checksum = CHECKSUMS[name]
    sizes = [disk.size for disk in disks]
    digests = [DiskDigest() for _disk in disks]
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
            _write(disks[disk].path, descriptors[disk], view[start:end], offset + start)
        payload += length
        unsynced += length
        if unsynced >= _WRITEBACK:
            start_writeback(descriptors[disk], max(0, offset + length - _WRITEBACK), _WRITEBACK)
            unsynced = 0
        reporter.progress(payload)


def _write(path: str, descriptor: int, view: memoryview, offset: int) -> None:
    try:
        write_at(descriptor, view, offset)
    except OSError as error:
        raise EndpointError(f"Cannot write to {path} on the destination node: {error.strerror}.") from error


def _read_work(disks: t.Tuple[Disk, ...], name: str, dealer: Dealer, lanes: int, lane: int, reporter: Reporter) -> None:
    if lane == lanes:
        dealer.deal()
        reporter.finished()
        return
    digests = [DiskDigest() for _disk in disks]
    reader = BlockReader(disks, dealer, reporter.progress)
    view = memoryview(reader.buffer)
    for disk, offset, start, end in reader:
        digests[disk].add(offset, end - start, CHECKSUMS[name].of(view[start:end]))
    reporter.finished(digests=[digest.hexdigest() for digest in digests], done=reader.done)
