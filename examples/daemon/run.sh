#!/bin/sh
# A service that follows a channel: 1.1.0 does not work, so it goes back to 1.0.0 by itself and stays away from
# it; 1.2.0 works, and is confirmed.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
server= program=
trap '[ -z "$server" ] || kill "$server"; [ -z "$program" ] || kill $(sed -n "s/.*started, pid //p" log) 2>/dev/null || true; rm -rf "$work"' EXIT
say() { printf '\n$ %s\n' "$*"; "$@"; }
wait_for() { # the line, and how often
	n=0
	until [ -e log ] && [ "$(grep -c "$1" log)" -ge "${2:-1}" ]; do
		n=$((n + 1))
		[ $n -lt 600 ] || { echo "waited in vain for: $1"; cat log; exit 1; }
		sleep 0.1
	done
}

cd "$top"
go build -o "$work/update-repo" ./cmd/update-repo
cd "$work"
PATH=$work:$PATH
mkdir src
cp "$top/examples/daemon/program/main.go" src/
say update-repo init --product program --repo repo --keys keys --no-passphrase --out src/trust-root.json
(cd src && go mod init example.net/program && go mod edit -require github.com/choria-io/go-updater@v0.0.0) >/dev/null 2>&1
export GOWORK="$work/go.work"
go work init "$top" src 2>/dev/null
go work edit -replace "github.com/choria-io/go-updater@v0.0.0=$top"
build() {
	go build -C src -ldflags "-s -w -X main.version=$1 -X 'main.broken=$2'" -o "$work/$1/program"
	update-repo add "$1/program" --version "$1" --repo repo --keys keys
}
build 1.0.0 ""
say update-repo promote 1.0.0 stable --repo repo --keys keys
update-repo serve --repo repo --listen 127.0.0.1:0 >url &
server=$!
while [ ! -s url ]; do sleep 0.1; done

echo
echo '$ ./program &'
cp 1.0.0/program program
REPOSITORY=$(cat url) PORT=${PORT:-$((20000 + $$ % 20000))} ./program >log 2>&1 &
program=$!
wait_for 'program 1.0.0: started'

build 1.1.0 "cannot open the database"
say update-repo promote 1.1.0 stable --repo repo --keys keys
wait_for 'program 1.1.0: cannot open the database'
wait_for 'program 1.0.0: started' 2
say cat log
say update-repo status program

build 1.2.0 ""
say update-repo promote 1.2.0 stable --repo repo --keys keys
wait_for 'program 1.2.0: started'
sleep 2
say update-repo status program
say update-repo doctor program || true
say cat log
