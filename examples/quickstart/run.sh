#!/bin/sh
# Makes keys and a signed repository, builds two versions of a program that trusts it, publishes
# and serves them, runs the old one, which becomes the new one, and rolls it back.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
say() { printf '\n$ %s\n' "$*"; "$@"; }

cd "$top"
say go build -o "$work/update-repo" ./cmd/update-repo
cd "$work"
PATH=$work:$PATH
mkdir src
cp "$top/examples/quickstart/program/main.go" src/

echo
echo '$ export UPDATE_REPO_PASSPHRASE=... # of the keys; you would be asked for it'
export UPDATE_REPO_PASSPHRASE="only for this run"
say update-repo init --product program --repo repo --keys keys --out src/trust-root.json

# The program is a module of its own that requires this checkout.
(cd src && go mod init example.net/program && go mod edit -require github.com/choria-io/go-updater@v0.0.0) >/dev/null 2>&1
export GOWORK="$work/go.work"
go work init "$top" src 2>/dev/null
go work edit -replace "github.com/choria-io/go-updater@v0.0.0=$top"
for v in 1.0.0 1.1.0; do
	say go build -C src -ldflags "-X main.version=$v" -o "$work/$v/program"
	say update-repo add $v/program --version $v --repo repo --keys keys
done
say update-repo list --repo repo
say update-repo verify --repo repo

printf '\n$ %s &\n' "update-repo serve --repo repo --listen 127.0.0.1:0"
update-repo serve --repo repo --listen 127.0.0.1:0 >url &
server=$!
while [ ! -s url ]; do sleep 0.1; done
url=$(cat url)
echo "$url"

cp 1.0.0/program program
say ./program "$url" 1.1.0
say update-repo status program
say update-repo rollback program
say ./program
