# Sourced by the scripts beside it: builds the server and the load generator.

# PROFILE=quick builds faster and without link-time optimisation: to work on the benchmark, not for figures.
PROFILE=${PROFILE:-release}
cargo build --profile "$PROFILE" --bin meridian --bench load
meridian=${CARGO_TARGET_DIR:-target}/$PROFILE/meridian
# Cargo names benchmarks after a hash; its messages for programs say which.
load=$(cargo build --profile "$PROFILE" --bench load --message-format=json 2> /dev/null |
    sed -n 's/.*"executable":"\([^"]*\/load-[^"]*\)".*/\1/p' | tail -1)
[ -x "$load" ] || { echo "the load generator was not built" >&2; exit 1; }
