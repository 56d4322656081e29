SHELL = bash
.SHELLFLAGS = -o pipefail -c

# make quickstart   two versions of a small program, published, served, updated, rolled back
# make test         everything that a change must pass
# make fuzz         the fuzz targets, for FUZZTIME each
# make bench       the measured comparison, with real programs

MODULES  = . repo cmd/update-repo test
FUZZTIME = 5s
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: bench quickstart test vet unit fault staticcheck fuzz tidy

quickstart:
	@sh examples/quickstart/run.sh

test: vet tidy unit quickstart fault fuzz staticcheck

vet:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt"; exit 1; }
	@for m in $(MODULES); do for os in linux darwin windows freebsd; do for arch in amd64 arm64; do \
	  echo "vet $$m $$os/$$arch"; \
	  (cd $$m && CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch go build ./... && CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch go vet ./...) || exit 1; \
	done; done; done

# Each module builds on its own, and its go.mod and go.sum are tidy.
# `.ci/alone MODULE tidy` mends them.
tidy:
	@for m in $(MODULES); do echo "alone $$m" && .ci/alone $$m || exit 1; done

unit:
	@for m in $(MODULES); do (cd $$m && go test -race -skip '^TestFault' ./...) || exit 1; done

# Without -race, which makes the thousands of updates slow and finds nothing more in them.
fault:
	go test -v -count=1 -timeout 15m -run '^TestFault' . | grep -E '^(fault test|---|\s+fault_test|ok|FAIL)'

fuzz:
	go test -run '^$$' -fuzz FuzzParseSpec -fuzztime $(FUZZTIME) .
	go test -run '^$$' -fuzz FuzzSpoolMeta -fuzztime $(FUZZTIME) .
	go test -run '^$$' -fuzz FuzzObject -fuzztime $(FUZZTIME) ./internal/strictjson
	go test -run '^$$' -fuzz FuzzParseContentRange -fuzztime $(FUZZTIME) ./store
	go test -run '^$$' -fuzz FuzzLocation -fuzztime $(FUZZTIME) ./store
	go test -run '^$$' -fuzz FuzzParseState -fuzztime $(FUZZTIME) ./internal/swap
	go test -run '^$$' -fuzz FuzzCheck -fuzztime $(FUZZTIME) ./internal/exe
	go test -run '^$$' -fuzz FuzzMetadata -fuzztime $(FUZZTIME) ./internal/tuf
	go test -run '^$$' -fuzz FuzzCanonical -fuzztime $(FUZZTIME) ./internal/tuf

staticcheck:
	@for m in $(MODULES); do (cd $$m && go run $(STATICCHECK) ./...) || exit 1; done

bench:
	@sh repo/bench/run.sh
