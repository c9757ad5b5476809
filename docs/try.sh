#!/bin/sh
# A first look without a cluster: `make try` builds the program and runs this.
#     sh docs/try.sh PROGRAM PAGE   prints what PROGRAM says of docs/shop.yaml, and writes the page to the file PAGE
set -eu
program=$1 page=$2
cd "$(dirname "$0")/.."

show() {
  printf '\n$ weightedshare %s\n' "$*"
  "$program" "$@"
}

cat <<'EOT'
docs/shop.yaml describes a pool of 6 cores with three members, five pods on two nodes, and how much CPU they use.
On node n1 checkout is nearly idle, and search needs more than it owns.

1. What would the controller do?
EOT
show plan -f docs/shop.yaml
printf '\n2. Why does search-1 get more than search owns, and why is reports-2 left alone?\n'
show explain search-1 -n shop -f docs/shop.yaml
show explain reports-2 -n shop -f docs/shop.yaml
printf '\n3. Who uses, is granted and owns how much?\n'
show top -f docs/shop.yaml
mkdir -p "$(dirname "$page")"
"$program" plan -f docs/shop.yaml -o html > "$page"
printf '\n4. The same as a page, for a browser:\n\n   file://%s\n' "$page"
