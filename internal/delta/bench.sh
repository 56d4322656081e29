#!/usr/bin/env bash
# Builds pairs of real programs and measures their deltas. usage: bench.sh FOLDER [PAIR...]
# FOLDER is outside the project and is kept: a second run builds nothing. Needs the Go module proxy;
# bsdiff and bzip2, if there, for comparison.
set -eu
root=$(mkdir -p "$1" && cd "$1" && pwd)
shift
here=$(cd "$(dirname "$0")" && pwd)
export CGO_ENABLED=0 GOFLAGS="-mod=mod -buildvcs=false" GOWORK=off

# spent COMMAND...: the processor time that it takes
spent() {
	{ time -p "$@" >/dev/null; } 2>&1 | awk '/^(user|sys)/ { s += $2 } END { printf "cpu %.2f s\n", s }'
}

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
	nats-patch-full nats-minor-full caddy-patch-full nats-toolchain}
wanted=$(echo $wanted) # on one line
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

# Another toolchain for the old version.
case " $wanted " in *" nats-toolchain "*)
	mkdir -p "$root/pairs/nats-toolchain"
	source_of nats $nats v2.10.25
	for tool in old:go1.25.7 new:go1.26.8; do
		out="$root/pairs/nats-toolchain/${tool%:*}"
		[ -f "$out" ] || (cd "$root/src/nats-v2.10.25" && GOTOOLCHAIN=${tool#*:} nice go build -trimpath -ldflags="-s -w" -o "$out" .)
	done ;;
esac

# services VERSION FOLDER: a program of 170 MB, with 200 of a cloud's clients, all of whose methods stay, since they are looked up.
services() {
	mkdir -p "$2"
	printf 'module many\n\ngo 1.24\n\nrequire github.com/aws/aws-sdk-go %s\n' "$1" >"$2/go.mod"
	(cd "$(cd "$root" && go mod download -json "github.com/aws/aws-sdk-go@$1" | sed -n 's/.*"Dir": "\(.*\)",/\1/p')/service" &&
		grep -l '^func New(p client.ConfigProvider' ./*/service.go) | sed 's,^\./,,; s,/service.go$,,' | LC_ALL=C sort | head -200 >"$2/list"
	{
		printf 'package main\n\nimport (\n\t"fmt"\n\t"reflect"\n\n\t"github.com/aws/aws-sdk-go/aws/session"\n'
		awk '{ printf "\ts%d \"github.com/aws/aws-sdk-go/service/%s\"\n", NR, $1 }' "$2/list"
		printf ')\n\nfunc main() {\n\ts, n := session.Must(session.NewSession()), 0\n\tfor _, c := range []any{\n'
		awk '{ printf "\t\ts%d.New(s),\n", NR }' "$2/list"
		printf '\t} {\n\t\tv := reflect.ValueOf(c)\n\t\tfor i := range v.NumMethod() {\n\t\t\tn += v.Method(i).Type().NumIn()\n\t\t}\n\t}\n\tfmt.Println(n)\n}\n'
	} >"$2/main.go"
}

# It takes ten minutes to build, so that it has to be asked for by name.
case " $wanted " in *" aws-patch "*)
	mkdir -p "$root/pairs/aws-patch"
	for version in old:v1.55.7 new:v1.55.8; do
		out="$root/pairs/aws-patch/${version%:*}"
		[ -f "$out" ] && continue
		services "${version#*:}" "$root/src/aws-${version#*:}"
		(cd "$root/src/aws-${version#*:}" && nice go build -trimpath -ldflags="-s -w" -o "$out" .)
	done ;;
esac

unset GOFLAGS GOWORK
(cd "$here/../../repo" && go test -c -o "$root/measure" .)
for p in "$root"/pairs/*; do
	name=$(basename "$p")
	case " $wanted " in *" $name "*) ;; *) continue ;; esac
	echo "== $name: $(wc -c <"$p/new") bytes"
	if command -v bzip2 >/dev/null; then
		[ -f "$p/new.bz2" ] || bzip2 -9 -c "$p/new" >"$p/new.bz2"
		echo "bz2 $(wc -c <"$p/new.bz2"), bunzip2: $(spent bunzip2 -c "$p/new.bz2")"
	fi
	if command -v bsdiff >/dev/null; then
		[ -f "$p/bsdiff" ] || spent bsdiff "$p/old" "$p/new" "$p/bsdiff" >"$p/bsdiff.cpu"
		echo "bsdiff $(wc -c <"$p/bsdiff"): $(cat "$p/bsdiff.cpu")"
	fi
	for step in Diff Apply; do
		(cd "$p" && DELTA_PAIR="$p" "$root/measure" -test.run '^$' -test.bench "^Benchmark$step\$" -test.benchtime 1x | sed -n "s/^$name	//p")
	done
done
echo "== files of other kinds: bytes, and those of zstd -19 --patch-from"
cd "$here" && go test -count=1 -run '^$' -bench Kinds -benchtime 1x . | sed -n '/^Bench/d; /^ok/d; s/	/: /; s/	/, /p'
