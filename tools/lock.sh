#!/usr/bin/env bash
# Resolve setup.cfg afresh and pin what came out: requirements.lock to run, requirements-dev.lock to develop.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip="$work/venv/bin/pip"
"$pip" install --quiet --disable-pip-version-check .
freeze() { "$pip" freeze --exclude callcenter | grep -vE '^(callcenter|-e)' | LC_ALL=C sort -f; }
freeze >requirements.lock
"$pip" install --quiet --disable-pip-version-check '.[dev]' 'setuptools>=70.1'
"$pip" freeze --all --exclude callcenter --exclude pip | grep -vE '^(callcenter|-e)' | LC_ALL=C sort -f >"$work/all"
LC_ALL=C comm -13 <(LC_ALL=C sort requirements.lock) <(LC_ALL=C sort "$work/all") >requirements-dev.lock
