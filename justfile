# Recipes for https://github.com/casey/just. `just` alone lists them; each is one command that also works without just.

_list:
    @just --list --unsorted

# everything a change must pass
check:
    .ci/run

# all tests
test *ARGS:
    cargo nextest run --workspace --locked {{ ARGS }}

# format the sources
fmt:
    cargo fmt --all

# clippy, with warnings denied
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# the documentation of our crates, opened in a browser
doc:
    cargo doc --workspace --no-deps --locked --open

# licences, advisories and banned crates
deny:
    @if command -v cargo-deny >/dev/null; then cargo deny check; else echo "skipped: cargo-deny is not installed"; fi

# conformance fixtures: ours, or those below the folder SIM_FIXTURES
conformance:
    cargo nextest run -p simulator-engine --features conformance --test conformance --locked --no-capture

# replay the sample
sample *ARGS:
    cargo run --locked --bin sim -- run --archive samples/agave-small {{ ARGS }}

# the binary as it is shipped
dist:
    cargo build --locked --profile dist --bin sim
