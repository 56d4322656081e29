#!/bin/sh
# Builds real programs from the module proxy, outside the tree, and measures their updates
# and what importing the library costs.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
go build -o "$work/bench" ./repo/bench
CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$work/update" ./repo/bench/update # as the programs below, and without the publisher

# program MODULE VERSION PACKAGE: copies the module's source, and builds it where its go.mod counts.
program() {
	src=$(go mod download -json "$1@$2" | sed -n 's/^	"Dir": "\(.*\)",*$/\1/p')
	cp -r "$src" "$work/src" && chmod -R u+w "$work/src"
	(cd "$work/src" && GOWORK=off CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$work/$(basename "$3")-$2" "./$3")
	rm -rf "$work/src"
}
program github.com/nats-io/nats-server/v2 v2.10.24 . && mv "$work/.-v2.10.24" "$work/nats-2.10.24"
program github.com/nats-io/nats-server/v2 v2.10.25 . && mv "$work/.-v2.10.25" "$work/nats-2.10.25"
program github.com/caddyserver/caddy/v2 v2.11.8 cmd/caddy
program github.com/caddyserver/caddy/v2 v2.11.9 cmd/caddy
"$work/bench" "$work/update" "$work/nats-2.10.24" "$work/nats-2.10.25"
"$work/bench" "$work/update" "$work/caddy-v2.11.8" "$work/caddy-v2.11.9"

echo "import cost:"
go run ./repo/bench/size

echo "metadata of a check:"
go run ./repo/bench/metadata 1000 10
