#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# unit.sh NAME [BUILD_FOLDER]: prints the example unit NAME (web, gunicorn, lighttpd, python-scm, quic-like) with the paths of this source
# tree and of the programs in BUILD_FOLDER (default: build/release). Unit files have no variables, so the paths are written in.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
installed=/usr/share/holdfast/examples

name=${1:?usage: unit.sh web|gunicorn|lighttpd|python-scm|quic-like [BUILD_FOLDER]}
build=$(cd "${2:-$here/../build/release}" && pwd)
for file in "$here"/*/"$name.toml"; do
    if [ ! -f "$file" ]; then
        echo "unit.sh: no example '$name'" >&2
        exit 2
    fi
    sed -e "s|/usr/libexec/holdfast/holdfast-webserver|$build/bin/holdfast-webserver|" -e "s|$installed|$here|g" "$file"
done
