#!/bin/sh
# Builds two versions of a program, publishes and serves them, runs the old
# one, which becomes the new one, and rolls it back.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
say() { printf '\n$ %s\n' "$*"; "$@"; }
os=$(go env GOOS) arch=$(go env GOARCH)

say go build -o "$work/update-repo" ./cmd/update-repo
for v in 1.0.0 1.1.0; do
	say go build -ldflags "-X main.version=$v" -o "$work/$v/program" ./examples/quickstart/program
	say "$work/update-repo" "$work/$v/program" --version $v --os "$os" --arch "$arch" --repo "$work/repo"
done
say "$work/update-repo" list --repo "$work/repo"
say "$work/update-repo" verify --repo "$work/repo"

printf '\n$ %s &\n' "$work/update-repo serve --repo $work/repo --listen 127.0.0.1:0"
"$work/update-repo" serve --repo "$work/repo" --listen 127.0.0.1:0 >"$work/url" &
server=$!
while [ ! -s "$work/url" ]; do sleep 0.1; done
url=$(cat "$work/url")
echo "$url"

cp "$work/1.0.0/program" "$work/program"
say "$work/program" "$url" 1.1.0
say "$work/update-repo" status "$work/program"
say "$work/update-repo" rollback "$work/program"
say "$work/program"
