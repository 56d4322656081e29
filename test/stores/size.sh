#!/bin/sh
# Prints what a program grows by that reads from a store, over one that reads from a web server.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d ./size.XXXXXX)
trap 'rm -rf "$work"' EXIT

# size NAME IMPORT OPTION
size() {
	cat >"$work/main.go" <<EOF
package main

import (
	"context"
	"fmt"

	updater "github.com/choria-io/go-updater"
$2
)

func main() {
	_, err := updater.Check(context.Background(), updater.Version("1"), $3)
	fmt.Println(err)
}
EOF
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$work/program" "$work/main.go"
	wc -c <"$work/program"
}

plain=$(size plain '' 'updater.SourceRepo("https://x")')
echo "a web server: $plain bytes"
for store in s3 gcs azure nats oci; do
	open="$store.FromURL(&url.URL{})"
	[ $store != nats ] || open='nats.FromURL(context.Background(), &url.URL{})'
	bytes=$(size $store "	\"net/url\"
	\"github.com/choria-io/go-updater/stores/$store\"" "updater.Repository(func() *$store.Store { s, _ := $open; return s }())")
	echo "$store: $((bytes - plain)) bytes more"
done
