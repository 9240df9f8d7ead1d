"""Writes the support matrix of docs/tested.md from what a run of the tests on the lab really ran on, or checks it against that.

`support_matrix.py [--check] RESULTS`, where RESULTS is the file that pytest wrote (--junit-xml). Tests note what they ran on as properties named `ran`:
`move source=3.0 destination=3.1 hypervisor=kvm from=file to=ext`. Only tests that passed count. With --check nothing is written, and a line of the page
that this run has not seen is an error, and so is a table or the word on what was not run that it lacks; a single line that it lacks is only told.
"""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path
from xml.etree import ElementTree

PAGE = Path(__file__).resolve().parents[2] / "docs/tested.md"
BEGIN, END = "<!-- support matrix: begin -->", "<!-- support matrix: end -->"
COLUMNS = {
    "move": {"source": "from Ganeti", "destination": "to Ganeti", "hypervisor": "hypervisor", "from": "disks from", "to": "disks to", "state": "instance"},
    "storage": {"release": "Ganeti", "backend": "configuration and jobs in", "mode": "mode"},
    "parameters": {"release": "Ganeti"},
}
TITLES = {"move": "Moves", "storage": "Storage", "parameters": "Cluster parameters"}
NOT_RUN = (
    "Not run, as the tests' machine has no device mapper, no cluster file system and no other hypervisor: the disk templates `plain`, `drbd`, `rbd` and",
    "`gluster`, and Xen. What would be sent to Ganeti for them, and which paths would be used, is tested.",
)

Rows = t.Dict[str, t.Set[t.Tuple[str, ...]]]


def seen(results: Path) -> Rows:
    """What the tests that passed ran on."""
    rows: Rows = {what: set() for what in COLUMNS}
    for case in ElementTree.parse(results).getroot().iter("testcase"):
        if any(case.find(bad) is not None for bad in ("failure", "error", "skipped")):
            continue
        for each in case.iter("property"):
            if each.attrib["name"] == "ran":
                what, *facts = each.attrib["value"].split()
                told = dict(fact.split("=", 1) for fact in facts)
                strange = told.keys() - COLUMNS[what].keys()
                if strange:
                    raise SystemExit(f"support_matrix: {case.attrib['name']} notes {sorted(strange)}, for which there is no column")
                rows[what].add(tuple(told.get(fact, "") for fact in COLUMNS[what]))
    return rows


def lines(rows: Rows) -> t.List[str]:
    """The matrix as Markdown."""
    text = []
    for what, columns in COLUMNS.items():
        if rows[what]:
            text += [f"| {TITLES[what]}: " + " | ".join(columns.values()) + " |", "|---" * len(columns) + "|"]
            text += ["| " + " | ".join(row) + " |" for row in sorted(rows[what])] + [""]
    return [*text, *NOT_RUN]


def main() -> int:
    """Write or check."""
    check, results = sys.argv[1:-1] == ["--check"], Path(sys.argv[-1])
    wanted = lines(seen(results))
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN + "\n")
    written, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"support_matrix: {PAGE} lacks a line {BEGIN} or {END}")
    if not check:
        PAGE.write_text(before + begin + "\n".join(wanted) + "\n" + end + after, encoding="utf-8")
        return 0
    # Lines are told apart within their table: the same words may stand in two of them.
    claimed, proven = in_tables(written.splitlines()), in_tables(wanted)
    unproven = sorted(claimed - proven)
    for table, line in unproven:
        print(f"support_matrix: {PAGE.name} claims what this run did not see: {line} (in {table})")
    for table, line in sorted(proven - claimed):
        print(f"support_matrix: {PAGE.name} could tell, too: {line} (in {table}); run {Path(__file__).name} {results}")
    missing = [title for what, title in TITLES.items() if not any(table.startswith(f"| {title}: ") for table, _line in claimed)]
    missing += ["what was not run"] * (not set(NOT_RUN) <= set(written.splitlines()))
    for part in missing:
        print(f"support_matrix: {PAGE.name} does not tell this: {part}; run {Path(__file__).name} {results}")
    return 1 if unproven or missing else 0


def in_tables(text: t.Iterable[str]) -> t.Set[t.Tuple[str, str]]:
    """The lines of tables, each with its table's first line."""
    found, head = set(), ""
    for line in text:
        if not line.startswith("|"):
            head = ""
        elif not head:
            head = line
        elif not line.startswith("|---"):
            found.add((head, line))
    return found


if __name__ == "__main__":
    sys.exit(main())
