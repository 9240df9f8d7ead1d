# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sphinx's configuration for the site that `make docs` builds; docs/site/build collects its pages."""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path

import yaml
from docutils import nodes

SITE = Path(__file__).resolve().parent
sys.path.insert(0, str(SITE))

project = "ganeti.cluster"
author = "the ganeti.cluster authors"
copyright = "2026, the ganeti.cluster authors"  # Sphinx wants this name
release = version = yaml.safe_load((SITE.parents[1] / "galaxy.yml").read_text(encoding="utf-8"))["version"]

extensions = ["myst_parser", "sphinx.ext.graphviz", "sphinx_antsibull_ext", "flowchart"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
# Titles are linked by the names that GitHub gives them, so that one link works in both places; one that leads nowhere is a warning.
myst_heading_anchors = 6
myst_fence_as_directive = {"mermaid"}
graphviz_output_format = "svg"
# Examples hold shell, YAML with vaults and output of programs; Pygments need not understand all of it.
highlight_language = "yaml+jinja"
suppress_warnings = ["misc.highlighting_failure"]
nitpicky = True

ANSIBLE = "https://docs.ansible.com/ansible/latest"
"""Where Ansible's own documentation is, which the reference speaks of. Its index is not fetched, as a build needs no network."""
PAGES = {
    "action_plugins": "plugins/action.html",
    "ansible_collections.ansible.builtin.env_lookup": "collections/ansible/builtin/env_lookup.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "common_return_values": "reference_appendices/common_return_values.html",
}

html_theme = "furo"
html_title = f"ganeti.cluster {release}"
html_copy_source = False
html_show_sphinx = False


def in_ansible(_app: t.Any, _env: t.Any, wanted: t.Any, content: nodes.TextElement) -> t.Optional[nodes.reference]:
    """A link into Ansible's own documentation, for what the reference names of it."""
    page = PAGES.get(wanted.get("reftarget", ""))
    return nodes.reference("", "", content, internal=False, refuri=f"{ANSIBLE}/{page}") if page else None


def setup(app: t.Any) -> None:
    """For Sphinx."""
    app.connect("missing-reference", in_ansible)
