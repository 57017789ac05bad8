#!/usr/bin/env bash
# scripts/dev says what is wrong with the options of its verb sim, before it builds anything.
set -euo pipefail
dev="$1/scripts/dev"

refuses() { # WORDS OF THE ERROR, then the arguments
  local words="$1" said status=0
  shift
  said="$("$dev" "$@" 2>&1)" || status=$?
  if ((status != 2)) || [[ "$said" != *"$words"* ]]; then
    printf 'scripts/dev %s: status %d, said: %s\nexpected status 2 and: %s\n' \
      "$*" "$status" "$said" "$words" >&2
    exit 1
  fi
}

refuses "--seeds 0: give a whole number" sim --seeds 0
refuses "--seeds -5: give a whole number" sim --seeds -5
refuses "--seeds many: give a whole number" sim --seeds many
refuses "--seeds 100000000: give a whole number" sim --seeds 100000000
refuses "--seeds needs a value" sim --seeds
refuses "--seed x: give a whole number" sim --seed x
refuses "--seed 1.5: give a whole number" sim --seed=1.5
refuses "--seed needs a value" sim --seed
refuses "belong to the verb sim" test --seeds 5
refuses "belong to the verb sim" build --seed 5
