# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Draws the pages' flowcharts with Graphviz.

They are fenced blocks of Mermaid, which GitHub draws by itself. Mermaid is a program for browsers, so the site has them drawn when it is built. Only what
the pages use is understood: nodes, arrows with words, subgraphs, classes. A line that is not understood is an error, so no picture lacks anything.
"""

from __future__ import annotations

import html
import re
import typing as t

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.ext.graphviz import graphviz

NODE = r'(\w+)(?:\["([^"]*)"\]|\("([^"]*)"\)|\[\("([^"]*)"\)\]|\{"([^"]*)"\})?(?::::(\w+))?'
ARROW = r"\s*(-->|<-->|-\.->|==>)(?:\|\"([^\"]*)\"\|)?\s*"
LINE = re.compile(rf"{NODE}(?:{ARROW}{NODE})?$")
SHAPES = ("box", "box", "cylinder", "diamond")
STYLES = {"-->": "", "<-->": "dir=both", "-.->": "style=dashed", "==>": "penwidth=2.2"}
COLOURS = {"": ("#f4f6f8", "#57606a"), "good": ("#e3f5e6", "#2c7a3d"), "bad": ("#fdeaea", "#b3302b"), "data": ("#e6effb", "#1f5fa8")}
"""Fill and line by class; the pages' `classDef` lines say the same to Mermaid."""


def words(text: str) -> str:
    """A label for Graphviz; Mermaid breaks lines with <br>."""
    return '"' + html.unescape(text.replace("<br>", "\n")).replace('"', '\\"').replace("\n", "\\n") + '"'


def node(parts: t.Sequence[t.Optional[str]]) -> t.Optional[str]:
    """What Graphviz is told of a node, where its line says more than its name."""
    name, *labels, kind = parts
    label = next((each for each in labels if each is not None), None)
    if label is None and kind is None:
        return None
    fill, line = COLOURS[kind or ""]
    shape = SHAPES[next(number for number, each in enumerate(labels) if each is not None)] if label is not None else "box"
    return f'{name} [label={words(label or str(name))} shape={shape} fillcolor="{fill}" color="{line}"];'


def dot(lines: t.Iterable[str]) -> str:
    """Graphviz's text for a flowchart of Mermaid's."""
    text = [
        "digraph {",
        'graph [fontname="Helvetica" fontsize=11 nodesep=0.3 ranksep=0.45 bgcolor="transparent"];',
        'node [fontname="Helvetica" fontsize=11 style="filled,rounded" margin="0.14,0.07"];',
        'edge [fontname="Helvetica" fontsize=10 color="#57606a"];',
    ]
    for raw in lines:
        line = raw.strip()
        if not line or line.startswith(("%%", "classDef ")):
            continue
        if found := re.fullmatch(r"flowchart (LR|TB)", line):
            text.append(f"rankdir={found[1]};")
        elif found := re.fullmatch(r'subgraph (\w+)\["([^"]*)"\]', line):
            text.append(f'subgraph cluster_{found[1]} {{ label={words(found[2])}; style="rounded,filled"; color="#d0d7de"; fillcolor="#fbfcfd"; labeljust=l;')
        elif line == "end":
            text.append("}")
        elif (found := LINE.fullmatch(line)) and not re.fullmatch(r"\w+", line):
            groups = found.groups()
            left, arrow, label, right = groups[:6], groups[6], groups[7], groups[8:]
            text += [told for told in (node(left), node(right) if right[0] else None) if told]
            if arrow:
                # Spaces keep the words off the line.
                said = "label=" + words("<br>".join(f"  {each}  " for each in label.split("<br>"))) if label else ""
                text.append(f"{left[0]} -> {right[0]} [{STYLES[arrow]} {said}];")
        else:
            raise ValueError(f"this line of a flowchart is not understood: {line}")
    return "\n".join([*text, "}"])


class Mermaid(Directive):
    """A fenced block of the language mermaid."""

    has_content = True
    option_spec: t.ClassVar[dict[str, t.Any]] = {}

    def run(self) -> list[nodes.Node]:
        """The drawing."""
        drawing = graphviz()
        try:
            drawing["code"] = dot(self.content)
        except ValueError as error:
            raise self.error(str(error)) from error
        drawing["options"] = {"docname": self.state.document.settings.env.docname}
        drawing["alt"] = "\n".join(self.content)
        drawing["align"] = "center"
        return [drawing]


def setup(app: t.Any) -> dict[str, bool]:
    """For Sphinx."""
    app.add_directive("mermaid", Mermaid)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
