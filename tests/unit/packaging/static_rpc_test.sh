#!/usr/bin/env bash
# static_rpc_test.sh PROGRAM...: none loads gRPC, Protobuf or Abseil as a shared library, neither by
# itself nor through another library.
set -euo pipefail

advice="As shared libraries these three take longer to load than all else in a start.
 - Was a library added to the program? muster_static_rpc must come before it among its LIBS.
 - Does another library bring it? Then the program would hold two copies: do without that library.
 - Has this system no archives (*.a) of them? Configure with -DMUSTER_STATIC_RPC=OFF."

status=0
for program in "$@"; do
  loaded="$(ldd "$program")"
  while read -r library _; do
    printf '%s needs %s\n' "$program" "$library" >&2
    status=1
  done < <(grep -E '^\s*lib(grpc|gpr|upb|address_sorting|protobuf|absl_)' <<<"$loaded")
done
((status == 0)) || printf '%s\n' "$advice" >&2
exit "$status"
