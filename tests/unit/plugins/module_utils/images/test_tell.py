# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told of images."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ImageFailed, InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils.images import sandbox
from ansible_collections.ganeti.cluster.plugins.module_utils.images.tell import tell

from . import samples
from .samples import MIB


def told(path, form="auto"):
    """What the module returns of the image; all of it can be written as JSON."""
    result = tell({"path": str(path), "format": form})
    json.dumps(result)
    return result["image"]


def test_a_raw_image(tmp_path):
    image = told(samples.raw(tmp_path / "image"))
    assert (image["format"], image["virtual_size"], image["size"], image["adoptable"], image["tables"]) == ("raw", 8 * MIB, 8 * MIB, True, None)
    assert not image["confirmed"] and "no headers" in image["unconfirmed_reason"] and image["allocated"] == samples.allocated(tmp_path / "image")


def test_what_is_refused_is_not_shown_to_qemu_img(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "run", None)
    image = told(samples.qcow2(tmp_path / "image", backing=b"/etc/passwd"))
    assert image["outside"] == ["its backing file '/etc/passwd'"] and not image["adoptable"] and not image["confirmed"]
    reason = "it is not in the same directory, so it was not looked at"
    assert image["backing_chain"] == [{"name": "/etc/passwd", "format": None, "virtual_size": None, "reason": reason}]
    assert image["unconfirmed_reason"] == "its headers were refused before"


def test_what_there_is_not(tmp_path):
    with pytest.raises(ImageFailed, match="is not there"):
        told(tmp_path / "image")
    with pytest.raises(InvalidInput, match="absolute"):
        told("image")


@pytest.mark.functional
def test_an_image_is_confirmed_by_qemu_img(tmp_path, monkeypatch):
    source = samples.raw(tmp_path / "source")
    path = samples.converted(source, tmp_path / "image", "qcow2")
    samples.qemu_img("snapshot", "-c", "before", path)
    image = told(path)
    assert image["confirmed"] and image["unconfirmed_reason"] is None and image["adoptable"] and image["virtual_size"] == 8 * MIB
    assert [each["name"] for each in image["snapshots"]] == ["before"] and image["tables"]["reads_to_open"] == 4 and not image["tables"]["converting_pays"]
    split = told(samples.converted(source, tmp_path / "split.vmdk", "vmdk", "subformat=twoGbMaxExtentSparse"))
    assert split["confirmed"] and split["kind"] == "twoGbMaxExtentSparse" and [each["name"] for each in split["extents"]] == ["split-s001.vmdk"]
    assert split["size"] == sum((tmp_path / name).stat().st_size for name in ("split.vmdk", "split-s001.vmdk"))
    monkeypatch.setattr(sandbox, "find", lambda _program: None)
    image = told(path)
    assert not image["confirmed"] and not image["adoptable"] and "install bubblewrap and qemu-utils" in image["unconfirmed_reason"] and image["problems"] == []


@pytest.mark.functional
def test_what_qemu_img_does_not_take_is_a_problem(tmp_path):
    """A header that says of a table that it is where another one is: only qemu-img looks at that."""
    image = told(samples.qcow2(tmp_path / "image", length=104, snapshots=0, refcount_clusters=0))
    assert not image["confirmed"] and not image["adoptable"] and "qemu-img does not take" in image["problems"][0]
