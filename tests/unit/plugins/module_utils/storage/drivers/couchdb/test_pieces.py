# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A large write goes in pieces."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb import pieces
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client

from ...samples import configuration


@pytest.mark.parametrize(("sizes", "expected"), [([], []), ([1] * 5, [3, 2]), ([40, 40, 40], [2, 1]), ([200, 1, 200], [1, 1, 1]), ([200], [1])])
def test_a_piece_has_so_many_documents_and_bytes(sizes, expected, monkeypatch):
    monkeypatch.setattr(pieces, "DOCUMENTS", 3)
    monkeypatch.setattr(pieces, "BYTES", 100)
    batch = [{"x": "y" * (size - 9 if size > 9 else 0)} for size in sizes]
    found = list(pieces.of(batch))
    assert [len(each) for each in found] == expected and [document for each in found for document in each] == batch


def test_the_first_write_goes_in_pieces_and_one_that_is_lost_is_sent_again_alone(couch, monkeypatch):
    monkeypatch.setattr(pieces, "DOCUMENTS", 10)
    once, sent, done = Client._once, [], []

    def lossy(self, method, where, data, seconds):
        if where.endswith("instances/_bulk_docs"):
            sent.append(len(json.loads(data)["docs"]))
            if len(sent) == 2:
                raise ConnectionResetError("lost")
        return once(self, method, where, data, seconds)

    monkeypatch.setattr(Client, "_once", lossy)
    many = configuration(20, instances={f"i{number}": {"name": f"inst{number}"} for number in range(25)})
    couch.report(done.append)
    couch.write_configuration(many)
    assert sent == [10, 10, 10, 5] and couch.configuration() == many
    assert sum(done) >= 25, "each piece is a sign of life"


def test_what_was_written_before_the_server_went_away_is_not_written_again(couch, monkeypatch):
    monkeypatch.setattr(pieces, "DOCUMENTS", 10)
    post, sent = Client.post, []

    def away(self, where, body, seconds=None):
        if where.endswith("instances/_bulk_docs"):
            sent.append(len(body["docs"]))
            if len(sent) == 2:
                raise ConnectionFailed("It is away.")
        return post(self, where, body, seconds)

    monkeypatch.setattr(Client, "post", away)
    many = configuration(20, instances={f"i{number}": {"name": f"inst{number}"} for number in range(25)})
    with pytest.raises(ConnectionFailed):
        couch.write_configuration(many)
    couch.forget()
    couch.write_configuration(many)
    assert sent == [10, 10, 10, 5] and couch.configuration() == many
