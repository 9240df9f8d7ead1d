# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may finish a promotion: the mark of another one stays."""

from __future__ import annotations

import fcntl
import os
import threading

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import promotion_mark


@pytest.fixture
def marked(tmp_path):
    """A directory with the mark of a promotion that is not finished."""
    promotion_mark.begin(str(tmp_path))
    return str(tmp_path)


def test_a_promotion_that_begins_while_an_earlier_one_is_finished_has_a_mark_afterwards(marked):
    """As where a controller died, and the same is run again while the node is still at the archived jobs."""
    again = threading.Thread(target=promotion_mark.begin, args=(marked,))
    with promotion_mark.finishing(marked, wait=True) as mine:
        again.start()
        again.join(0.2)  # so that it would be too early, if it did not wait
        assert mine
    again.join()
    assert promotion_mark.unfinished(marked)


@pytest.mark.parametrize("newer", [True, False])
def test_whoever_has_waited_for_a_mark_that_is_gone_does_not_take_it_for_another(marked, newer, monkeypatch):
    """What it has locked is a file that has no name any more."""
    lock, seen = fcntl.flock, []

    def locked(descriptor, how):
        if not seen:
            os.unlink(os.path.join(marked, "promotion-unfinished"))
            seen.append(descriptor)
            if newer:
                promotion_mark.begin(marked)
        lock(descriptor, how)
        seen.append(os.fstat(descriptor).st_nlink)

    monkeypatch.setattr(promotion_mark.fcntl, "flock", locked)
    with promotion_mark.finishing(marked, wait=True) as mine:
        assert mine == newer
        assert seen[-1] == int(newer), "the one that is there is locked"
    assert not promotion_mark.unfinished(marked)


def test_an_error_of_whoever_finishes_is_its_own(marked):
    with pytest.raises(BlockingIOError, match="of its own"), promotion_mark.finishing(marked, wait=False):
        raise BlockingIOError("of its own")
    assert promotion_mark.unfinished(marked)
