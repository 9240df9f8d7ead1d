# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Draws the plots of docs/ anew from the results that are there as JSON; nothing is measured. Run it with ``make plots``."""

from __future__ import annotations

from pathlib import Path

import ciphers_report
import storage_lab_plot
import storage_report
from nodes import report
from storage_lab_report import read_json

from ansible_collections.ganeti.cluster.benchmarks import whole_move_plot, zeroing_report

DOCS = Path(__file__).resolve().parents[1] / "docs"

report.redraw(DOCS)
ciphers_report.redraw(DOCS)
storage_report.redraw(DOCS)
whole_move_plot.redraw(DOCS)
zeroing_report.redraw(DOCS)
storage_lab_plot.plot(read_json(DOCS, ())[0], DOCS / "bench-storage-lab.svg")
