#!/bin/sh
# Builds pairs of real programs and measures their deltas. usage: bench.sh FOLDER [PAIR...]
# FOLDER is outside the project and is kept: a second run builds nothing. Needs the Go module proxy;
# bsdiff and bzip2, if there, for comparison.
set -eu
root=$(mkdir -p "$1" && cd "$1" && pwd)
shift
here=$(cd "$(dirname "$0")" && pwd)
export CGO_ENABLED=0 GOFLAGS="-mod=mod -buildvcs=false" GOWORK=off

# source PROGRAM MODULE VERSION: a copy, built as the main module
source_of() {
	[ -d "$root/src/$1-$3" ] && return
	mkdir -p "$root/src"
	dir=$(cd "$root" && go mod download -json "$2@$3" | sed -n 's/.*"Dir": "\(.*\)",/\1/p')
	cp -r "$dir" "$root/src/$1-$3"
	chmod -R u+w "$root/src/$1-$3"
}

# pair NAME PROGRAM MODULE PACKAGE OLD NEW OS ARCH [LDFLAGS]
pair() {
	case " $wanted " in *" $1 "*) ;; *) return ;; esac
	mkdir -p "$root/pairs/$1"
	for version in "$5" "$6"; do
		source_of "$2" "$3" "$version"
		out="$root/pairs/$1/old"
		[ "$version" = "$6" ] && out="$root/pairs/$1/new"
		[ -f "$out" ] || (cd "$root/src/$2-$version" && GOOS=$7 GOARCH=$8 nice go build -trimpath -ldflags="${9--s -w}" -o "$out" "$4")
	done
}

wanted=${*:-nats-patch nats-patch-arm64 nats-patch-windows nats-patch-darwin nats-minor caddy-patch caddy-minor hugo-patch restic-minor
	nats-patch-full nats-minor-full caddy-patch-full}
nats=github.com/nats-io/nats-server/v2
caddy=github.com/caddyserver/caddy/v2
pair nats-patch nats $nats . v2.10.24 v2.10.25 linux amd64
pair nats-patch-arm64 nats $nats . v2.10.24 v2.10.25 linux arm64
pair nats-patch-windows nats $nats . v2.10.24 v2.10.25 windows amd64
pair nats-patch-darwin nats $nats . v2.10.24 v2.10.25 darwin arm64
pair nats-minor nats $nats . v2.10.25 v2.11.0 linux amd64
pair caddy-patch caddy $caddy ./cmd/caddy v2.11.8 v2.11.9 linux amd64
pair caddy-minor caddy $caddy ./cmd/caddy v2.10.2 v2.11.3 linux amd64
pair hugo-patch hugo github.com/gohugoio/hugo . v0.161.0 v0.161.1 linux amd64
pair restic-minor restic github.com/restic/restic ./cmd/restic v0.17.3 v0.18.0 linux amd64
pair nats-patch-full nats $nats . v2.10.24 v2.10.25 linux amd64 ""
pair nats-minor-full nats $nats . v2.10.25 v2.11.0 linux amd64 ""
pair caddy-patch-full caddy $caddy ./cmd/caddy v2.11.8 v2.11.9 linux amd64 ""

for p in "$root"/pairs/*; do
	bz=-
	bs=-
	if command -v bzip2 >/dev/null; then bz=$(bzip2 -9 -c "$p/new" | wc -c); fi
	if command -v bsdiff >/dev/null; then
		[ -f "$p/bsdiff" ] || bsdiff "$p/old" "$p/new" "$p/bsdiff"
		bs=$(wc -c <"$p/bsdiff")
	fi
	echo "$(basename "$p")	bz2 $bz	bsdiff $bs"
done
unset GOFLAGS GOWORK
cd "$here/../../repo" && DELTA_CORPUS="$root/pairs" go test -count=1 -timeout 60m -run '^$' -bench Corpus -benchtime 1x .
