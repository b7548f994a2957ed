# Sourced by test scripts: reports results in the words that scripts/test reads (tests/README.md).
#
#   source "$(dirname "$0")/../support/report.sh"
#   check 'curl reads a page through the gateway' curl --fail "$url"
#   finish

failed_count=0

ok() { printf 'ok %s\n' "$1"; }

fail() {
  printf 'FAIL %s\n' "$1"
  failed_count=$((failed_count + 1))
}

# skip NAME REASON
skip() { printf 'skip %s: %s\n' "$1" "$2"; }

# check NAME COMMAND...: ok if the command succeeds; its output is shown only if it fails.
check() {
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then
    ok "$name"
  else
    printf '%s\n' "$output"
    fail "$name"
  fi
}

# The last command of a script.
finish() { [[ $failed_count -eq 0 ]]; }
