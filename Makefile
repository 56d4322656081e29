# make quickstart   two versions of a small program, published, served, updated, rolled back
# make daemon       a service that goes back by itself from a version that does not work
# make test         everything that a change must pass; prints what each part took
# make test-stores the stores against the servers that people run, which are built once in ~/.cache
# make bench-stores what publishing RELEASES releases and reading cost at each store, and what each adds to a program
# make fuzz         the fuzz targets, some seconds each; FUZZTIME=1m is longer
# make simulate    100,000 hosts over one bad release; draws docs/rollout.svg
# make size        what importing the client costs, by package; fails above what is promised
# make test-windows the client's tests as Windows programs, under wine64
# make kills       kills a daemon on 500 hosts at random moments of updates and probations, and mirrors, some 15 minutes
# make bench       the measured comparison, with real programs
# make bench-delta builds pairs of real programs in CORPUS, outside the tree, and measures their deltas

MODULES  = . repo stores cmd/update-repo test
PACKAGES = $(MODULES:%=./%/...)
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
	go test -timeout 30m $(RACE) -skip '^Test(Fault|Deltas)' $$(go list $(PACKAGES) | grep -v -e internal/delta -e 'go-updater/test$$' -e test/stores -e cmd/update-repo)
	# What the delta coder does beside each other.
	go test -timeout 30m $(RACE) -run '^Test(AnyNumberOfProcessors|Within|AlignmentOfParts|OddPrograms)$$/position' ./internal/delta
	# Real programs and ten thousand damaged patches go through the delta coder here, thousands of files through decoders and
	# oracles on one goroutine, and servers and a hundred publishers through one process: too slow for the race detector.
	go test -timeout 30m ./internal/delta ./test ./test/stores ./cmd/update-repo/...
	go test -timeout 30m -run '^TestDeltas' ./repo

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

# So many runs of each, and no time: a deadline that comes while an input is being looked at fails a target that has found nothing
# (golang/go#75804). Little time is spent on making what is found smaller.
fuzz = go test -run '^$$' -fuzz '^$1$$' -fuzztime $(or $(FUZZTIME),$3) -fuzzminimizetime 10x $2

fuzz:
	$(call fuzz,FuzzParseSpec,.,50000x)
	$(call fuzz,FuzzSpoolMeta,.,50000x)
	$(call fuzz,FuzzParse,./internal/channel,100000x)
	$(call fuzz,FuzzObject,./internal/strictjson,100000x)
	$(call fuzz,FuzzReader,./internal/bzip2,20000x)
	$(call fuzz,FuzzParseContentRange,./store,100000x)
	$(call fuzz,FuzzLocation,./store,50000x)
	$(call fuzz,FuzzParseState,./internal/swap,200000x)
	$(call fuzz,FuzzRecord,./internal/probation,5000x)
	$(call fuzz,FuzzCheck,./internal/exe,50000x)
	$(call fuzz,FuzzApply,./internal/delta,10000x)
	$(call fuzz,FuzzPlan,./internal/delta,1000x)
	$(call fuzz,FuzzDiff,./internal/delta,500x)
	$(call fuzz,FuzzExecutable,./internal/delta,200x)
	$(call fuzz,FuzzDeflate,./internal/delta,5000x)
	$(call fuzz,FuzzInflate,./internal/delta,40000x)
	$(call fuzz,FuzzRepeats,./internal/delta,5000x)
	$(call fuzz,FuzzDecode,./internal/zstd,100000x)
	$(call fuzz,FuzzZstd,./test,20000x)
	$(call fuzz,FuzzMetadata,./internal/tuf,50000x)
	$(call fuzz,FuzzCanonical,./internal/tuf,50000x)
	$(call fuzz,FuzzParseProposal,./repo,30000x)
	$(call fuzz,FuzzParseKeyFile,./repo,3000x)
	$(call fuzz,FuzzRepository,./repo,150x)
	cd stores && $(call fuzz,FuzzTag,./oci,50000x)
	cd stores && $(call fuzz,FuzzOpen,./tarfile,30000x)

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
