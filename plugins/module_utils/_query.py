# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Picking out of what a module tells, by a JMESPath expression of the user's."""

from __future__ import annotations

import traceback
import typing as t

from ansible.module_utils.basic import missing_required_lib

from ._errors import InvalidInput

try:
    import jmespath
except ImportError:
    JMESPATH_ERROR: t.Optional[str] = traceback.format_exc()
else:
    JMESPATH_ERROR = None

Result = t.Dict[str, t.Any]


def told(query: t.Optional[str], tell: t.Callable[[], Result]) -> Result:
    """What *tell* returns, and with a *query* beside it, as ``result``, what that picks out.

    Raises InvalidInput for an expression that is none, or where the library is missing, before anything is asked; and for one that does not fit what is told.
    """
    if query is None:
        return tell()
    if JMESPATH_ERROR:
        raise InvalidInput(missing_required_lib("jmespath"), exception=JMESPATH_ERROR)
    try:
        expression = jmespath.compile(query)
        result = tell()
        return {**result, "result": expression.search(result)}
    except jmespath.exceptions.JMESPathError as error:
        raise InvalidInput(f"query is no JMESPath expression that fits: {' '.join(str(error).split())}") from None
