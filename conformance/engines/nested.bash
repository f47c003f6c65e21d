# shellcheck shell=bash
# A bundle for a runtime that is itself in a container.

# A bundle with a root of its own; flags of `spec` may follow.
inner_bundle() { # FLAG…
    mkdir -p "$STAGE/tmp/inner/rootfs"
    tar -xOf "$STAGE/image.tar" layer.tar | tar -x -C "$STAGE/tmp/inner/rootfs"
    rm -f "$STAGE/tmp/inner/config.json"
    "$RUNTIME" spec --bundle "$STAGE/tmp/inner" "$@"
    jq '.process.terminal = false | .process.args = ["echo", "from the inside"] | .process.env = ["PATH=/bin"]' \
        "$STAGE/tmp/inner/config.json" >"$STAGE/tmp/inner/config.new"
    mv "$STAGE/tmp/inner/config.new" "$STAGE/tmp/inner/config.json"
}
