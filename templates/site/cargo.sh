# rustup wants its +toolchain before everything else.
toolchain=
case "$1" in +*) toolchain="$1"; shift;; esac
exec "$real" ${toolchain:+"$toolchain"} --config /run/site/cargo.toml "$@"
