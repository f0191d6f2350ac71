# make test is everything: it installs what it needs on a fresh Debian machine
# with Go, and may be run again at any time.

GO ?= go
TOOLS := .ci/tools

.PHONY: build check test-fast test-e2e test bench fuzz release-files clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags="-s -w" -o bin/goproxy-setup ./cmd/goproxy-setup

# check is what needs no test: format, modernisations, vet, module files.
check:
	@test -z "$$(gofmt -l cmd internal)" || { gofmt -l cmd internal; echo "not formatted: run gofmt -w"; exit 1; }
	$(GO) fix -diff ./...
	$(GO) vet ./...
	$(GO) vet -tags e2e ./...
	$(GO) mod tidy -diff

# test-fast takes less than a minute and needs nothing but Go.
test-fast:
	$(GO) test ./...

test: check
	.ci/test.sh

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./internal/...
	.ci/bench.sh

# fuzz runs every fuzz target for FUZZTIME each.
FUZZTIME ?= 30s
fuzz:
	.ci/fuzz.sh $(FUZZTIME)

release-files:
	$(GO) run ./internal/release

clean:
	rm -rf bin dist
