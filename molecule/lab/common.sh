# shellcheck shell=bash
# Sourced by the lab's commands: where things are, what describes the lab, and how to speak to the user.
set -euo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
repo=$(dirname "$(dirname "$here")")
state=${GANETI_LAB_DIR:-${HOME:-/root}/.cache/ganeti-lab}
mkdir -p "$state"
state=$(readlink -f "$state")
export GANETI_LAB_DIR=$state

say() { printf 'lab: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null; }
need_root() { [[ $EUID == 0 ]] || die "this needs root: run it with sudo"; }

# The comment at the head of a script is its help.
help() { sed -n '2,/^[^#]/{ /^#/!d; /^# shellcheck/d; s/^# \{0,1\}//; p }' "$1"; exit 0; }

# A digest of files, by content and by name below molecule/, so that it is the same in every checkout.
digest() { (cd "$repo/molecule" && find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16); }
image_id() { digest lab/base-image lab/node-packages; }
guest_id() { digest ../tests/guest; }
lab_id() { digest inventory.yml default lab; }

# The virtual environment with molecule in it.
need_venv() {
  venv=$(realpath --no-symlinks "${VENV:-$repo/.venv}")
  [[ -x $venv/bin/molecule ]] || die "no molecule in $venv: make that virtual environment first, or set VENV to another"
}

# Runs an action of the scenario `default`, for the clusters in GANETI_LAB_CLUSTERS. The configuration is named because
# molecule finds it only in a git repository.
molecule() {
  local log=$state/log/$1
  need_venv
  mkdir -p "$state/log"
  (cd "$repo" && PATH=$venv/bin:$PATH "$here/engine" in molecule --base-config .config/molecule/config.yml "$1") >"$log" 2>&1 ||
    die "molecule $1 failed, see $log: $(failure "$log")"
}

# What failed according to molecule's log: what a command said, or else Ansible's own words.
failure() {
  local text
  text=$(sed 's/\x1b\[[0-9;]*m//g; s/^ *│ //' "$1")
  grep --max-count=1 --after-context=5 '^ *stderr: ' <<<"$text" || grep --max-count=1 --after-context=8 -e '^\[ERROR\]' -e '^ERROR' <<<"$text" || true
}
