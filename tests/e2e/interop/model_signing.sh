#!/bin/bash
# model_signing.sh PYTHON SIGN_FOLDER VENV
# Our signatures verify with model-signing, its signatures verify with ours, and both refuse a changed
# file. Exit 77 (skipped) with the reason when model-signing cannot be installed.
set -euo pipefail
python=$1 ours=$2 venv=$3
readonly SKIPPED=77

theirs() { "$venv/bin/python" -W ignore -m model_signing "$@"; }

if ! theirs --version >/dev/null 2>&1; then
  log=$(mktemp)
  if ! { "$python" -m venv --clear "$venv" &&
    "$venv/bin/pip" install --quiet --disable-pip-version-check \
      'model-signing>=1.1,<2' pyopenssl; } >"$log" 2>&1; then
    echo "SKIPPED: the Python package model-signing could not be installed: $(tail -n 1 "$log")"
    rm -f "$log"
    exit $SKIPPED
  fi
  rm -f "$log"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/mnist@3/a"
printf '{"name":"mnist"}' >"$work/mnist@3/manifest.json"
head -c 100000 /dev/urandom >"$work/mnist@3/weights.f32"
printf 'folder' >"$work/mnist@3/a/b"
printf 'lookalike' >"$work/mnist@3/a-b"

expect_refused() {
  if "$@" >/dev/null 2>&1; then
    echo "FAILED: accepted a changed file: $*"
    exit 1
  fi
}

"$ours" sign "$work/mnist@3" "$work/key.pem" "$work/public.pem" "$work/ours.sig"
theirs verify key "$work/mnist@3" --signature "$work/ours.sig" --public_key "$work/public.pem"
theirs sign key "$work/mnist@3" --private_key "$work/key.pem" --signature "$work/theirs.sig"
"$ours" verify "$work/mnist@3" "$work/public.pem" "$work/theirs.sig"

printf 'x' >>"$work/mnist@3/weights.f32"
expect_refused theirs verify key "$work/mnist@3" --signature "$work/ours.sig" \
  --public_key "$work/public.pem"
expect_refused "$ours" verify "$work/mnist@3" "$work/public.pem" "$work/theirs.sig"
echo "OK: both directions verify, both refuse a changed file"
