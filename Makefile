# micro-net: everything a developer runs. `make` alone lists the targets.
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X main.version=$(VERSION)
TOOL    := $(GO) tool -modfile=tools.mod
FUZZTIME ?= 10s
FUZZTURN ?=
TURN    ?=
ARGS    ?=
TESTFLAGS ?=

.DEFAULT_GOAL := help
.PHONY: help build test race lint demo bench fuzz sim graphs defences simdet simdet-test e2e e2e-nat clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## write a static binary to bin/micro-net
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/micro-net ./cmd/micro-net

test: ## vet and all tests but the slow ones, under ten minutes on two cores
	$(GO) vet ./...
	$(GO) test $(TESTFLAGS) -timeout 9m -skip "^TestE2E|^Test(All|OneWay)Graphs$$" ./...

# One processor per test program: up to Go 1.26 at least, goroutines of a bubble that poll timers
# at once share one context of the race detector, which then ends the program ("CHECK failed").
# What it finds is an order that nothing enforces, for which one processor is enough. The graphs run
# in one goroutine: nothing there can be out of order.
# The packages that take longest begin first, so that they do not run alone at the end.
race: ## the same tests with the race detector
	$(GO) test -race -cpu 1 -timeout 20m -skip "^TestE2E|^Test(All|OneWay)Graphs$$" ./node ./sim ./...

lint: ## gofumpt, vet and staticcheck
	@out="$$($(TOOL) gofumpt -l .)"; test -z "$$out" || { echo "not gofumpt: $$out"; exit 1; }
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	@$(GO) mod tidy -diff

demo: build ## three daemons on loopback and a guided tour (ARGS=--once runs the tour and exits)
	bin/micro-net demo $(ARGS)

bench: build ## figures beside other programs in the same run (root; ARGS="-bench-rounds 5 -bench-seconds 3")
	$(GO) test -run '^$$' -bench . -benchmem ./router ./tunnel/... ./gossip/... ./dns/... ./proxy ./internal/identity
	$(GO) test -count=1 -run '^TestBenchmark' -timeout 30m -v ./sim/lab -args -bench-peers $(ARGS)

fuzz: ## every fuzz target for FUZZTIME (10s); with FUZZTURN=n three of them, others at each turn
	@set -e; list=$$(for pkg in $$($(GO) list ./...); do \
	    $(GO) test -list '^Fuzz' $$pkg | sed -n "s|^Fuzz|$$pkg Fuzz|p"; \
	  done); \
	total=$$(echo "$$list" | wc -l); at=0; \
	echo "$$list" | while read -r pkg f; do \
	  turn="$(FUZZTURN)"; place=$$at; at=$$((at + 1)); \
	  if [ -n "$$turn" ] && [ $$(( (place + total - 3 * turn % total) % total )) -ge 3 ]; then continue; fi; \
	  echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$pkg; \
	done

sim: build ## all scenarios and a swarm in virtual time (SEEDS=1..50)
	bin/micro-net sim run $(basename $(notdir $(wildcard testdata/scenarios/*.yaml)))
	bin/micro-net sim swarm --seeds $(or $(SEEDS),1..50)

graphs: ## all networks of up to five nodes, with each change of one or two links (SEED=n: other names, latencies and moments)
	$(GO) test -count=1 -timeout 60m -v -run '^Test(All|OneWay)Graphs$$' ./tunnel -args -all-graphs $(if $(SEED),-graph-seed $(SEED))

defences: ## each defence taken out of the program once: a scenario has to notice (TURN=n: a third of them)
	$(GO) test -count=1 -timeout 30m -run '^TestDefences$$' ./sim/defence -args -all $(if $(TURN),-turn $(TURN))

simdet: ## the simulator over a changed Go runtime: runs repeat to the bit
	@dir=$$(mktemp -d); set -e; $(GO) run ./sim/simdet "$$dir"; \
	  $(GO) build -overlay "$$dir/overlay.json" -tags simdet -o bin/micro-net-simdet ./cmd/micro-net; rm -r "$$dir"

simdet-test: simdet ## runs of that simulator, each twice and once on a busy machine: the same packets
	$(GO) test -count=1 -timeout 9m -v -run '^TestRunsRepeat$$' ./sim/simdet -args -binary $(CURDIR)/bin/micro-net-simdet

e2e: build ## hosts as network namespaces, real binaries and clients (root)
	$(GO) test -count=1 -timeout 15m -v -run '^TestE2E' ./sim/lab

e2e-nat: build ## all pairs of places of two hosts: behind NATs of each kind, firewalls, in the open (root)
	$(GO) test -count=1 -timeout 15m -v -run '^TestE2ENATGrid$$' ./sim/lab -args -all-places

clean: ## remove what build made
	rm -rf bin
