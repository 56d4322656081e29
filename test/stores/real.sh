#!/bin/sh
# real.sh [measure]: runs the tests of the stores, or measures them, with the servers that people run. They are built once, outside the tree; the first run needs the
# Go module proxy and npm, and Debian's packages where nginx or npm are missing and we are root.
set -eu
cd "$(dirname "$0")/.."
cache=${STORES_CACHE:-$HOME/.cache/go-updater-stores}
mkdir -p "$cache/bin" "$cache/npm"

# build NAME MODULE@VERSION
build() {
	stamp=$cache/bin/.$(echo "$2" | tr '/' '_')
	[ -e "$stamp" ] && [ -x "$cache/bin/$1" ] && return
	echo "building $2"
	(cd / && GOBIN=$cache/bin CGO_ENABLED=0 GOWORK=off go install "$2")
	touch "$stamp"
}

# need PROGRAM PACKAGE
need() {
	command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] && return
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "error: $1 is missing" >&2
		echo "hint: install it (Debian's package $2), or run this as root on Debian" >&2
		exit 1
	fi
	echo "installing $2"
	log=$(mktemp)
	{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$2"; } >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
	rm -f "$log"
}

need nginx nginx-light
need npm npm
build versitygw github.com/versity/versitygw/cmd/versitygw@v1.8.0
build fake-gcs-server github.com/fsouza/fake-gcs-server@v1.56.1
build registry github.com/distribution/distribution/v3/cmd/registry@v3.1.2
if [ ! -e "$cache/npm/.azurite@3.37.0" ]; then
	echo "installing azurite 3.37.0"
	(cd "$cache/npm" && npm install --silent --no-fund --no-audit azurite@3.37.0)
	touch "$cache/npm/.azurite@3.37.0"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go test -tags real -c -o "$work/stores.test" ./stores
export STORES_BIN="$cache/bin"
cd stores

if [ "${1:-}" = measure ]; then
	"$work/stores.test" -test.timeout 3h -test.run '^TestMeasure$' -test.v
	exit
fi

# Each is mostly a server and a publisher that wait for each other, so two run at a time. What has failed is shown.
code=0
printf '%s\n' TestRealOCI TestRealS3 TestRealGCS TestRealOCIKilled TestRealAzure TestRealOCIKeeps TestRealOCICredentials TestRealNginx TestRealNATS TestRealGCSOnDisk |
	xargs -P 2 -I '{}' sh -c '"$1/stores.test" -test.timeout 15m -test.run "^$2\$" -test.v >"$1/$2.log" 2>&1 || { cat "$1/$2.log"; exit 1; }' - "$work" '{}' || code=1
grep -h -E '^(--- |    [a-z]+_test\.go)' "$work"/*.log
exit $code
