# make quickstart   two versions of a small program, published, served, updated, rolled back
# make daemon       a service that goes back by itself from a version that does not work
# make test         everything that a change must pass; prints what each part took
# make test-stores the stores against the servers that people run, which are built once in ~/.cache
# make bench-stores what publishing RELEASES releases and reading cost at each store, and what each adds to a program
# make fuzz         the fuzz targets, for FUZZTIME each
# make simulate    100,000 hosts over one bad release; draws docs/rollout.svg
# make size        what importing the client costs, by package; fails above what is promised
# make test-windows the client's tests as Windows programs, under wine64
# make kills       kills a daemon on 500 hosts at random moments of updates and probations, and mirrors, some 15 minutes
# make bench       the measured comparison, with real programs
# make bench-delta builds pairs of real programs in CORPUS, outside the tree, and measures their deltas

MODULES  = . repo stores cmd/update-repo test
PACKAGES = $(MODULES:%=./%/...)
FUZZTIME = 5s
RELEASES = 1000
CORPUS   = $(HOME)/.cache/go-updater-corpus
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

# The race detector needs a C compiler; without one the tests run all the same.
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

.PHONY: bench bench-delta quickstart test vet unit fault staticcheck fuzz tidy size test-windows kills simulate daemon

daemon:
	@sh examples/daemon/run.sh

quickstart:
	@sh examples/quickstart/run.sh

test:
	@MAKE='$(MAKE)' .ci/parts vet tidy staticcheck size unit quickstart fault fuzz

vet:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt"; exit 1; }
	@for os in linux darwin windows freebsd; do for arch in amd64 arm64; do echo $$os $$arch; done; done | \
	  xargs -P 2 -n 2 sh -c 'export CGO_ENABLED=0 GOOS=$$0 GOARCH=$$1; for m in $(MODULES); do \
	  (cd $$m && go build -o /dev/null ./... && go vet ./...) || exit 1; echo "vet $$m $$GOOS/$$GOARCH"; done'

# Each module builds on its own, and its go.mod and go.sum are tidy.
# `.ci/alone MODULE tidy` mends them.
tidy:
	@for m in $(MODULES); do echo "alone $$m" && .ci/alone $$m || exit 1; done

unit:
	@test -n "$(RACE)" || echo "no C compiler: the tests run without the race detector"
	go test -timeout 30m $(RACE) -skip '^TestFault' $$(go list $(PACKAGES) | grep -v -e internal/delta -e test/stores -e cmd/update-repo)
	# Real programs and ten thousand damaged patches go through the delta coder here, and servers and a hundred publishers
	# through one process: too slow for the race detector.
	go test -timeout 30m ./internal/delta ./test/stores ./cmd/update-repo/...

# Without -race, which makes the thousands of updates slow and finds nothing more in them.
fault:
	@code=$$(mktemp) && { .ci/memory go test -v -count=1 -timeout 40m -run '^TestFault' . ; echo $$? >$$code; } | \
	  grep -E '^(fault test|---|[[:space:]]+fault_test|ok|FAIL)'; \
	  read n <$$code; rm $$code; exit $$n
	cd repo && go test -count=1 -timeout 40m -run '^TestFault' .

.PHONY: test-stores bench-stores
test-stores:
	@cd test && go vet -tags real ./stores && go run $(STATICCHECK) -tags real ./stores
	@sh test/stores/real.sh

bench-stores:
	@RELEASES=$(RELEASES) sh test/stores/real.sh measure
	@sh test/stores/size.sh

fuzz:
	go test -run '^$$' -fuzz FuzzParseSpec -fuzztime $(FUZZTIME) .
	go test -run '^$$' -fuzz FuzzSpoolMeta -fuzztime $(FUZZTIME) .
	go test -run '^$$' -fuzz FuzzParse$$ -fuzztime $(FUZZTIME) ./internal/channel
	go test -run '^$$' -fuzz FuzzObject -fuzztime $(FUZZTIME) ./internal/strictjson
	go test -run '^$$' -fuzz FuzzReader -fuzztime $(FUZZTIME) ./internal/bzip2
	go test -run '^$$' -fuzz FuzzParseContentRange -fuzztime $(FUZZTIME) ./store
	go test -run '^$$' -fuzz FuzzLocation -fuzztime $(FUZZTIME) ./store
	go test -run '^$$' -fuzz FuzzParseState -fuzztime $(FUZZTIME) ./internal/swap
	go test -run '^$$' -fuzz FuzzRecord -fuzztime $(FUZZTIME) ./internal/probation
	go test -run '^$$' -fuzz FuzzCheck -fuzztime $(FUZZTIME) ./internal/exe
	cd stores && go test -run '^$$' -fuzz FuzzTag -fuzztime $(FUZZTIME) ./oci
	for f in FuzzApply FuzzPlan FuzzDiff FuzzExecutable FuzzDeflate FuzzInflate FuzzRepeats; do go test -run '^$$' -fuzz $$f'$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./internal/delta || exit 1; done
	go test -run '^$$' -fuzz FuzzDecode -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./internal/zstd
	go test -run '^$$' -fuzz FuzzZstd -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./test
	go test -run '^$$' -fuzz FuzzMetadata -fuzztime $(FUZZTIME) ./internal/tuf
	go test -run '^$$' -fuzz FuzzCanonical -fuzztime $(FUZZTIME) ./internal/tuf
	go test -run '^$$' -fuzz FuzzParseProposal -fuzztime $(FUZZTIME) ./repo
	cd stores && go test -run '^$$' -fuzz FuzzOpen -fuzztime $(FUZZTIME) ./tarfile
	go test -run '^$$' -fuzz FuzzParseKeyFile -fuzztime $(FUZZTIME) ./repo

staticcheck:
	@for m in $(MODULES); do (cd $$m && go run $(STATICCHECK) ./...) || exit 1; done

size:
	@go run ./repo/bench/size

kills:
	@code=$$(mktemp) && { UPDATER_KILLS=500 go test -v -count=1 -timeout 60m -run '^TestFaultKillDaemon$$' . ; echo $$? >$$code; } | \
	  grep -E '^(fault test|ok|FAIL)|--- FAIL'; \
	  read n <$$code; rm $$code; exit $$n
	cd cmd/update-repo && UPDATER_KILLS=100 go test -v -count=1 -timeout 60m -run '^TestKilledMirrors$$' .

simulate:
	@go run ./repo/bench/rollout docs/rollout.svg

bench:
	@sh repo/bench/run.sh

# The client's tests as Windows programs, under wine64.
test-windows:
	@sh test/windows.sh

bench-delta:
	@bash internal/delta/bench.sh $(CORPUS)
