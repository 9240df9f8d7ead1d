# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is told of an image without changing anything."""

from __future__ import annotations

import typing as t

from .._errors import GanetiError, ImageFailed
from . import qemu
from .cost import Cost
from .look import Image, chain, look
from .opened import check_path


def tell(params: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """The result of the module; raise GanetiError where there is no image to tell of."""
    path = check_path(params["path"], "path")
    try:
        image = look(path, params["format"])
    except FileNotFoundError:
        raise ImageFailed(f"{path} is not there.") from None
    with image:
        told, warnings = _headers(image), list(image.warnings)
        why: t.Optional[str] = None
        if image.facts.outside or image.facts.problems:
            why = "its headers were refused before"
        elif image.facts.format == "raw":
            why = "a raw image has no headers that it could read"
        else:
            why = qemu.unusable()
        if why is None:
            try:
                told["virtual_size"] = qemu.check(image)
                if not image.uses:  # else its tables and its end change
                    qemu.survey(image)
            except GanetiError as error:
                why = error.message
                told["problems"].append(why.rstrip("."))
        told.update(confirmed=why is None, unconfirmed_reason=why, adoptable=not told["outside"] and not told["problems"] and not _lacks(image))
        return {"image": told, "warnings": warnings}


def _lacks(image: Image) -> bool:
    """Whether this node lacks what it takes to convert the image."""
    return image.facts.format != "raw" and qemu.unusable() is not None


def _headers(image: Image) -> t.Dict[str, t.Any]:
    facts = image.facts
    return {
        "path": image.file.path,
        "format": facts.format,
        "kind": facts.kind,
        "virtual_size": facts.virtual_size,
        "size": sum(file.size for file in image.files),
        "allocated": image.allocated,
        "extents": [part._asdict() for part in facts.parts],
        "snapshots": [each._asdict() for each in facts.snapshots],
        "snapshot_count": facts.snapshot_count,
        "backing_chain": [link._asdict() for link in chain(image)],
        "outside": list(facts.outside),
        "problems": [*facts.problems, *image.uses],
        "tables": None if facts.cost is None else _tables(facts.cost),
    }


def _tables(cost: Cost) -> t.Dict[str, t.Any]:
    return {**cost._asdict(), "seconds": cost.seconds, "converting_pays": cost.pays, "reason": cost.reason()}
