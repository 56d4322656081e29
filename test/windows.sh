#!/bin/sh
# Runs the client's tests as Windows programs, under Debian's wine64.
#
# Two things that Windows has are missing from Wine 8: bcryptprimitives.dll, without which no Go program
# starts, is made here; FileDispositionInformationEx, for whose lack Go 1.26 has a fallback that
# does not know Wine's status, is patched into copies of the standard library's file. Tests that build programs
# get a go.exe made from this toolchain's source. Wine makes no symbolic links that
# Lstat would show as such, so the tests of planted links, named in SKIP, cannot hold there. Nor are the fault tests
# run, whose hundreds of updates and killed processes take hours under Wine: for one of them,
# sh test/windows.sh -test.run 'TestFaultErrors/update,_rename-away' -test.skip none
set -eu
cd "$(dirname "$0")/.."
SKIP='^(TestFault.*|TestImportRules|TestNoCostlyCalls|TestClientStaysSmall|TestLinksAndFoldersAreNotOpened|TestCreateTakesOverNothing|TestLockLink|TestSymlinkedTargetAndRollback|TestPreflightComesFirst|TestStateInTheWay|TestTrustWithoutState)$'
cache=${WINDOWS_CACHE:-$HOME/.cache/go-updater-windows}
mkdir -p "$cache"

if ! [ -x /usr/lib/wine/wine64 ] || ! command -v x86_64-w64-mingw32-gcc >/dev/null; then
	echo "installing wine64 and mingw-w64"
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends wine64 gcc-mingw-w64-x86-64 >/dev/null
fi
export WINEPREFIX="$cache/prefix" WINEDEBUG=-all WINEARCH=win64
if ! [ -f "$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll" ]; then
	/usr/lib/wine/wine64 wineboot -i
	cat >"$cache/prng.c" <<'C'
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE p, SIZE_T n) { return SystemFunction036(p, (ULONG)n); }
C
	x86_64-w64-mingw32-gcc -shared -O2 -o "$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll" "$cache/prng.c" -ladvapi32
fi

root=$(go env GOROOT)
go=$cache/$(go env GOVERSION)
if ! [ -f "$go/done" ]; then
	echo "making go.exe of $(go env GOVERSION)"
	mkdir -p "$go/bin" "$go/pkg/tool/windows_amd64"
	cp -r "$root/src" "$root/VERSION" "$root/go.env" "$go/"
	cp -r "$root/pkg/include" "$go/pkg/"
	at=src/internal/syscall/windows/at_windows.go
	sed -i 's/case STATUS_INVALID_INFO_CLASS, /case NTStatus(0xC0000002), STATUS_INVALID_INFO_CLASS, /' "$go/$at"
	echo "{\"Replace\":{\"$root/$at\":\"$go/$at\"}}" >"$go/overlay.json"
	export GOOS=windows GOARCH=amd64 CGO_ENABLED=0
	go build -overlay "$go/overlay.json" -trimpath -o "$go/bin/go.exe" cmd/go
	for tool in asm compile link; do go build -o "$go/pkg/tool/windows_amd64/$tool.exe" "cmd/$tool"; done
	unset GOOS GOARCH CGO_ENABLED
	touch "$go/done"
fi

for package in ./internal/disk ./internal/swap ./internal/version ./store .; do
	GOOS=windows GOARCH=amd64 CGO_ENABLED=0 go test -overlay "$go/overlay.json" -c -o "$cache/test.exe" "$package"
	echo "$package"
	(cd "$package" && env WINEPATH="Z:$go/bin" GOROOT="Z:$go" GOCACHE="Z:$cache/build" GOTOOLCHAIN=local GOFLAGS= GOPROXY=off GOTELEMETRY=off \
		/usr/lib/wine/wine64 "$cache/test.exe" -test.timeout 30m -test.skip "$SKIP" "$@")
done
