# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The source's endpoint: reads what holds data and sends it over the lanes."""

from __future__ import annotations

import functools
import ssl
import typing as t

from . import frames, free_space, policy, tls
from .connection import Connection, Rendezvous, Watch, close_all, dial, receive_exactly
from .control import Controller
from .dealer import BlockReader, Dealer, data_bytes
from .digest import CHECKSUMS, DiskDigest
from .disks import Disk, check_whole
from .errors import EndpointError
from .lanes import Reporter, run_lanes
from .pipes import Output, output

_CONNECT_SECONDS = 30.0


class SendPlan(t.NamedTuple):
    """All that the source's endpoint has to know at first; sizes in bytes."""

    move_id: str
    sizes: t.Tuple[int, ...]
    address: str
    lanes: int
    tool: str
    checksum: str
    identity: tls.Identity
    ciphers: t.Tuple[str, ...] = ()
    map_reader: str = ""
    """The program that finds free space, which is not sent then; nothing is left out without it."""


def send(plan: SendPlan, controller: Controller) -> t.Dict[str, t.Any]:
    """Send all disks; return their digests and the byte counts.

    Gets as far as it can without the disks, which a running instance still uses: the controller sends the destination's port as
    soon as that is open, and the paths of the disks once the instance is stopped.
    """
    policy.check_ciphers(plan.ciphers)
    policy.check_peer(plan.ciphers, plan.address)
    context = tls.context(plan.identity, server=False, wanted=plan.ciphers)
    controller.say("started")
    port = int(controller.message()["port"])
    connections = dial(Rendezvous(plan.address, port, context, plan.move_id, plan.lanes), controller, _CONNECT_SECONDS)
    controller.say("ready")
    paths = controller.message()["paths"]
    if len(paths) != len(plan.sizes):
        raise EndpointError(f"{len(paths)} disks are there, but {len(plan.sizes)} were agreed.")
    disks = tuple(Disk(path, size) for path, size in zip(paths, plan.sizes))
    check_whole(disks)
    # Here, and not before: the map of a disk that somebody may still write to is worth nothing.
    found = free_space.find(disks, plan.map_reader, controller) if plan.map_reader else free_space.Survey((), [])
    dealer = Dealer(disks, plan.lanes, found.free)
    work = functools.partial(_work, plan, disks, dealer, connections)
    # One process more than lanes: the last one deals out the work.
    total = sum(data_bytes(disks, found.free))
    results = run_lanes(controller, plan.lanes + 1, work, "copy", total, functools.partial(close_all, connections))
    return {**totals(results, len(disks)), "free_space": found.told}


def totals(results: t.Sequence[t.Mapping[str, t.Any]], disks: int) -> t.Dict[str, t.Any]:
    """Add up what the lanes reported."""
    digests = [DiskDigest() for _disk in range(disks)]
    payload = wire = 0
    for result in results:
        for digest, value in zip(digests, result.get("digests", ())):
            digest.merge(value)
        payload += result.get("payload", 0)
        wire += result.get("wire", 0)
    agreed = sorted({tuple(result["tls"]) for result in results if "tls" in result})
    return {"digests": [digest.hexdigest() for digest in digests], "payload": payload, "wire": wire, "tls": agreed}


def _work(
    plan: SendPlan, disks: t.Sequence[Disk], dealer: Dealer, connections: t.Sequence[Connection], lane: int, reporter: Reporter
) -> None:
    if lane == plan.lanes:
        close_all(connections)
        dealer.deal()
        reporter.finished()
        return
    connection = t.cast(ssl.SSLSocket, connections[lane])
    close_all(connections, but=connection)
    Watch(connection, reporter.failed).start()
    agreed = tls.negotiated(connection, plan.ciphers)
    out = output(connection, plan.tool)
    digests, payload, done = _send_ranges(plan, disks, dealer, out, reporter)
    out.finish()
    # The destination answers once it has written all of the lane, so nothing is lost on the rendezvous.
    if receive_exactly(connection, len(frames.STORED)) != frames.STORED:
        raise EndpointError("The destination node did not confirm the lane.")
    reporter.finished(digests=[digest.hexdigest() for digest in digests], payload=payload, done=done, wire=out.count(), tls=agreed)


def _send_ranges(
    plan: SendPlan, disks: t.Sequence[Disk], dealer: Dealer, out: Output, reporter: Reporter
) -> t.Tuple[t.List[DiskDigest], int, int]:
    """Send the ranges that fall to this lane; return the digests, bytes of payload and bytes of disks."""
    checksum = CHECKSUMS[plan.checksum]
    head = frames.HEADER.size + checksum.size
    digests = [DiskDigest() for _disk in disks]
    reader = BlockReader(disks, dealer, lambda done: reporter.progress(done, out.count()), head)
    buffer, view = reader.buffer, memoryview(reader.buffer)
    payload = 0
    for disk, offset, start, end in reader:
        length, value = end - start, checksum.of(view[start:end])
        frames.HEADER.pack_into(buffer, start - head, frames.DATA, disk, length, offset)
        buffer[start - checksum.size:start] = value
        digests[disk].add(offset, length, value)
        out.write(view[start - head:end])
        payload += length
    out.write(memoryview(frames.HEADER.pack(frames.END, 0, 0, 0) + bytes(checksum.size)))
    return digests, payload, reader.done
