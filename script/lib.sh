# Shared by the scripts beside it; sourced, with the root of the project as the working directory.
# shellcheck shell=bash

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C.UTF-8
jobs=$(nproc)
PYTHON=${PYTHON:-/usr/bin/python3}

say () {
    printf '\n== %s\n' "$*"
}

die () {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# configure PRESET: quietly, unless it fails.
configure () {
    local said
    said=$(cmake --preset "$1" "-DREEL_PYTHON=$PYTHON" 2>&1) || { printf '%s\n' "$said" >&2; return 1; }
}

# build PRESET: configures and builds it in build/PRESET.
build () {
    say "building build/$1"
    configure "$1" && cmake --build "build/$1" --parallel "$jobs"
}

# The C files of the project.
sources () {
    find base proto net cli broker worker client tests -name '*.[ch]' | sort
}
