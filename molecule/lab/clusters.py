"""Prints the lab's clusters as the inventory has them, one "name release" a line; those named as arguments, or all. Wants PyYAML."""

from __future__ import annotations

import pathlib
import sys

import yaml


def main() -> int:
    """Print them, or say which name means nothing."""
    inventory = yaml.safe_load((pathlib.Path(__file__).parents[1] / "inventory.yml").read_text(encoding="utf-8"))
    clusters = inventory["all"]["vars"]["lab_clusters"]
    unknown = [name for name in sys.argv[1:] if name not in clusters]
    if unknown:
        print(f"there is no cluster {', '.join(unknown)} in inventory.yml, only {', '.join(clusters)}", file=sys.stderr)
        return 1
    for name in sys.argv[1:] or clusters:
        print(name, clusters[name]["release"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
