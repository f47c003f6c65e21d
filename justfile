# `just` lists the recipes. CI runs conformance/run.

set shell := ["bash", "-euo", "pipefail", "-c"]

# Where `install` puts things: `just PREFIX=/usr install`; below DESTDIR, for packages.
PREFIX := env("PREFIX", "/usr/local")
DESTDIR := env("DESTDIR", "")

# The suite has a runtime to find and the benchmark is a program, not a set of tests.
unit := "--workspace --exclude kan-conformance-suite"

# List the recipes
@default:
    just --list --unsorted

# Formatting, lints and unit tests: what every change must pass before anything else
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo test {{ unit }}

# All tests of all crates, with those that need root and a real kernel
test-root:
    @[[ $EUID == 0 ]] || { echo "just test-root needs root" >&2; exit 1; }
    cargo test {{ unit }} -- --include-ignored

# Fuzz what kan reads, an hour for each target (conformance/fuzz/README.md); targets can be named
fuzz *TARGETS:
    conformance/fuzz/run -t 3600 {{ TARGETS }}

# The black-box suite on kan, runc, crun or any path; further arguments go to the suite
conformance RUNTIME="kan" *ARGUMENTS:
    conformance/build
    cargo build --release -p kan-conformance-probe -p kan-conformance-suite
    KAN=$(conformance/build --quiet) RUNTIME={{ quote(RUNTIME) }} {{ if RUNTIME == "crun" { in_v2 } else { "" } }} \
        cargo run --release -p kan-conformance-suite -- {{ ARGUMENTS }}

# Debian's crun refuses a hybrid host: there it gets a mount namespace that shows cgroup version 2 alone.
in_v2 := if path_exists("/sys/fs/cgroup/cgroup.controllers") == "true" { "" } else {
    "unshare -m --propagation private sh -c " +
    "'mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup && exec \"$@\"' sh"
}

# A command in the test machine (conformance/vm/README.md), in this directory; builds the machine first
vm *COMMAND:
    [[ -e ${VMDIR:-${XDG_CACHE_HOME:-$HOME/.cache}/kan-vm}/disk.img ]] || conformance/vm/build
    conformance/vm/run {{ COMMAND }}

# The suite's part for cgroup v2, systemd and users who are not root, in the test machine
vm-test *RUNTIMES="kan runc crun":
    conformance/build
    cargo build --release -p kan-conformance-probe -p kan-conformance-suite
    mkdir -p {{ target }}/vm
    rm -rf {{ target }}/vm/*
    cp "$(conformance/build --quiet)" {{ release }}/{kan-conformance-probe,kan-conformance-suite} conformance/vm/{test,engines,systemd.bats} {{ target }}/vm/
    cp -r conformance/engines {{ target }}/vm/engines.d
    conformance/engines/make-image {{ target }}/vm
    just vm -s {{ target }}/vm -t 1800 ./test {{ RUNTIMES }} || true
    grep -hE '^test .*FAILED|^test result|^testing|^not ok' {{ target }}/vm/*.{log,tap}

# Rewrite the golden plans bundles/*/plan.txt and the table in docs/cli.md; review them with git diff
golden:
    KAN_GOLDEN=write cargo test -p kan-plan golden
    KAN_GOLDEN=write cargo test -p kan --test command_table

# kan and runc side by side on variations of a config.json and of command lines, as root
compare *ARGS:
    python3 conformance/compare/compare.py --kan "$(conformance/build --quiet)" {{ ARGS }}

# Rewrite the messages in docs/errors.md
errors:
    python3 conformance/compare/compare.py --kan "$(conformance/build --quiet)" --write

# kan, crun, runc and the floor side by side, as root (docs/performance.md); arguments go to bench
bench *ARGUMENTS:
    conformance/build
    cargo run --release -p kan-conformance-bench -- --kan "$(conformance/build --quiet)" {{ ARGUMENTS }}

# The same with growth: with containers alive, mounts, variables, rules, hooks (some minutes)
bench-full *ARGUMENTS:
    just bench --full {{ ARGUMENTS }}

# Write kan's counts of system calls and instructions anew, which `bench --check` guards; review them with git diff
counts:
    just bench -n 10 --counts conformance/bench

# All documents as a book, in book/html under cargo's target directory
book:
    @command -v mdbook >/dev/null || { echo "just book needs mdbook: cargo install --locked mdbook" >&2; exit 1; }
    conformance/check-links
    rm -rf {{ target }}/book && mkdir -p {{ target }}/book/src
    git ls-files -z '*.md' '*.svg' docs/apparmor conformance/runtime-tools/expected LICENSE | tar -c --null -T - | tar -x -C {{ target }}/book/src
    sed 's|](|](docs/|; s|](docs/\.\./|](|' docs/SUMMARY.md >{{ target }}/book/src/SUMMARY.md
    rm {{ target }}/book/src/docs/SUMMARY.md
    cp docs/book.toml {{ target }}/book/
    mdbook build {{ target }}/book

# The release binary and its SHA-256 sum in dist/ under cargo's target folder
dist:
    conformance/build --locked
    mkdir -p {{ target }}/dist
    install -m 755 "$(conformance/build --quiet --locked)" {{ target }}/dist/kan
    cd {{ target }}/dist && sha256sum kan >kan.sha256 && ls -l "$PWD"/*

# A Debian package in dist/ under cargo's target folder
deb:
    conformance/build --locked
    conformance/deb "$(conformance/build --quiet --locked)" {{ target }}/dist

# Put the binary, manual pages and shell completions under PREFIX (/usr/local), and say how podman learns of it
install:
    conformance/build --locked
    cargo run --quiet --release --locked -p kan-manual -- {{ quote(DESTDIR + PREFIX) }}/share
    install -D -m 755 "$(conformance/build --quiet --locked)" {{ quote(DESTDIR + PREFIX) }}/bin/kan
    @printf '%s\n' 'For podman, in /etc/containers/containers.conf:' '' \
        '    [engine]' \
        '    runtime_supports_json = ["crun", "runc", "kan"]' \
        '    runtime_supports_nocgroup = ["crun", "kan"]' \
        '    [engine.runtimes]' \
        '    kan = ["{{ PREFIX }}/bin/kan"]'

# Cargo's target folder, and the release folder of this host's target.
target := shell("cargo metadata --no-deps --format-version 1 | sed -n 's/.*\"target_directory\":\"\\([^\"]*\\)\".*/\\1/p'")
release := target / shell("rustc -vV | sed -n 's/^host: //p'") / "release"
