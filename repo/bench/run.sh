#!/bin/sh
# Builds real programs from the module proxy, outside the tree, and measures their updates
# and what importing the library costs.
set -eu
cd "$(dirname "$0")/../.."
top=$(pwd)
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
go build -o "$work/bench" ./repo/bench

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
"$work/bench" "$work/nats-2.10.24" "$work/nats-2.10.25"
"$work/bench" "$work/caddy-v2.11.8" "$work/caddy-v2.11.9"

mkdir "$work/plain"
cat >"$work/plain/main.go" <<'P'
package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	r, err := http.Get(os.Args[1])
	if err != nil {
		panic(err)
	}
	data, _ := io.ReadAll(r.Body)
	var v map[string]any
	json.Unmarshal(data, &v)
	fmt.Printf("%x\n", sha256.Sum256(data))
}
P
export CGO_ENABLED=0
(cd "$work/plain" && GOWORK=off go build -trimpath -ldflags "-s -w" -o "$work/without" main.go)
go build -trimpath -ldflags "-s -w" -o "$work/with" ./examples/quickstart/program
echo "import cost: $(($(wc -c <"$work/with") - $(wc -c <"$work/without"))) bytes"

# What trust costs: the same program without its option TrustRoot, which alone links what is behind it.
mkdir "$work/untrusting"
grep -v -e 'TrustRoot' -e 'go:embed' -e '_ "embed"' -e '^var trustRoot' examples/quickstart/program/main.go >"$work/untrusting/main.go"
echo "{\"Replace\":{\"$top/examples/quickstart/program/main.go\":\"$work/untrusting/main.go\"}}" >"$work/overlay.json"
go build -overlay "$work/overlay.json" -trimpath -ldflags "-s -w" -o "$work/without-trust" ./examples/quickstart/program
echo "of which trust: $(($(wc -c <"$work/with") - $(wc -c <"$work/without-trust"))) bytes"

echo "metadata of a check:"
go run ./repo/bench/metadata 1000 10
