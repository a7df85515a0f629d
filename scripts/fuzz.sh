#!/bin/sh
# fuzz.sh [TARGET...]: runs fuzz targets one after the other, FUZZ_SECONDS each, all of them by default.
# New inputs go to fuzz/work, findings to fuzz/artifacts; FUZZ_MINIMISE=1 merges what was found into fuzz/corpus.
set -eu
cd "$(dirname "$0")/../fuzz"
seconds="${FUZZ_SECONDS:-1800}"
octets_max="${FUZZ_OCTETS_MAX:-4096}"
command -v cargo-fuzz >/dev/null 2>&1 || cargo install --locked cargo-fuzz

# Coverage needs an unstable flag of the compiler; the stable one takes it when told. The code under test has no unsafe
# but in one module that is not fuzzed, so that a sanitizer would only slow it down.
export RUSTC_BOOTSTRAP=1
# Where the C++ library is under another name only, libFuzzer still wants it by its own.
host=$(rustc -vV | sed -n 's/host: //p')
cargo fuzz build --sanitizer none

[ $# -gt 0 ] || set -- $(cargo fuzz list)
failed=""
for target in "$@"; do
    mkdir -p "work/$target" "artifacts/$target"
    binary="target/$host/release/$target"
    echo "== $target: $seconds s"
    # The binary itself: `cargo fuzz run` would build once more.
    "$binary" "work/$target" "corpus/$target" -artifact_prefix="artifacts/$target/" -max_total_time="$seconds" \
        -max_len="$octets_max" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=1 \
        >"work/$target.log" 2>&1 || failed="$failed $target"
    grep -E 'cov: .*(DONE|ft:)|stat::number_of_executed_units' "work/$target.log" | tail -2
    if [ "${FUZZ_MINIMISE:-0}" = 1 ]; then
        "$binary" -merge=1 -max_len="$octets_max" "corpus/$target" "work/$target" >/dev/null 2>&1 || true
    fi
done
[ -z "$failed" ] || { echo "findings in fuzz/artifacts:$failed" >&2; exit 1; }
