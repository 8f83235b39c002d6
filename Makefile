# Foyer, a contact-centre switch. `make help` lists the targets.
#
# Only Go and git are needed to build and run. The tests use real telephones and
# a few Debian packages, which `make setup` installs.

GO          ?= go
CONFIG      ?= configs/demo.yaml
FUZZTIME    ?= 20s
FUZZJOBS    ?= 2
# Flags of the bench and the laboratory: BENCH=-short takes a minute.
BENCH       ?=
# The load of a soak.
SOAK        ?= -rates 200 -seconds 3600
# The calls and the seconds of each half of make survive.
SURVIVE     ?= -calls 200 -seconds 300
PACKAGES    := baresip-core chromium sip-tester kamailio linphone-cli sox espeak-ng sipsak sipvicious tshark postgresql-15
STATICCHECK := $(GO) tool staticcheck

.DEFAULT_GOAL := help
.PHONY: help build run demo test check arrows race fuzz soak survive bench lab prompts setup clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/foyer
	$(GO) build -trimpath -o bin/foyer ./cmd/foyer

run: build ## build, and serve configs/demo.yaml on loopback (CONFIG=FILE for another)
	bin/foyer serve -c $(CONFIG)

demo: build ## the same switch with simulated carriers and agents talking to it
	bin/foyer demo

test: setup check ## install what the tests need and run all of them, real phones included
	$(GO) test -count=1 -timeout 15m ./...
	$(GO) test -race -short -count=1 -timeout 5m ./acd/ring ./rtp
	@$(MAKE) --no-print-directory fuzz

check: arrows ## formatting, vet, staticcheck, the arrows between packages, quick tests
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then echo "not formatted with gofmt:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(STATICCHECK) ./...
	$(GO) test -short -timeout 3m ./...

arrows: ## which package may import which, and what the floor must not touch
	$(GO) test -run '^TestArrows' .

race: ## quick tests under the race detector
	$(GO) test -race -short -timeout 15m ./...

# Go before 1.27 may report its own deadline at the end of FUZZTIME as a failure
# (go.dev/issue/75804); there is none without a failing input or a process that died.
fuzz: ## every fuzz target for FUZZTIME (20s), FUZZJOBS (2) at a time
	@grep -ro --include='*_test.go' '^func Fuzz[A-Za-z]*' . | sed -E 's|/[^/]*:func | |' | xargs -P $(FUZZJOBS) -L 1 sh -c '\
		out=$$($(GO) test -run "^$$" -fuzz "^$$2\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x -parallel 1 $$1 2>&1) || \
			case "$$out" in \
			*"Failing input"*|*panic*|*"terminated unexpectedly"*|*"build failed"*) bad=1;; \
			*"    context deadline exceeded"*) bad=;; \
			*) bad=1;; \
			esac; \
		if [ -n "$$bad" ]; then echo "$$out"; echo "FAIL $$1 $$2"; exit 255; fi; \
		echo "$$1 $$2: $$(echo "$$out" | grep elapsed | tail -1)"' fuzz

soak: build ## a minute of spray on every media port; a million random days and 20,000 long ones against every invariant of the floor; an hour of 200 calls/s (SOAK=) on the whole switch, where nothing may grow
	FOYER_SPRAY_SECONDS=60 $(GO) test ./rtp -count=1 -timeout 30m -run '^TestSpray$$' -v
	$(GO) test ./acd -count=1 -timeout 60m -run '^TestRandomFloorsKeepEveryInvariant$$' -rapid.checks=1000000
	$(GO) test ./acd -count=1 -timeout 60m -run '^TestRandomFloorsComeToRest$$' -rapid.checks=20000
	$(GO) run ./loadtest/cmd/bench -foyer bin/foyer -only soak $(SOAK)

survive: build ## 200 calls through 100 kill -9 and 100 upgrades of the switch, seen from outside (SURVIVE=)
	$(GO) run ./loadtest/cmd/bench -foyer bin/foyer -only survive $(SURVIVE)

bench: build ## the figures of the whole switch, under load, in one table
	$(GO) run ./loadtest/cmd/bench -foyer bin/foyer $(BENCH)

lab: build ## calls behind every kind of router and on every bad line, in one table
	$(GO) run ./loadtest/cmd/bench -foyer bin/foyer -only nat $(BENCH)

prompts: ## speak prompts/catalog.txt into rtp/sound/prompts (needs espeak-ng and sox)
	prompts/render.sh

setup: ## install the Debian packages the tests need; does nothing when they are there
	@missing=""; \
	for p in $(PACKAGES); do \
		dpkg-query -W -f '$${Status}\n' $$p 2>/dev/null | grep -q '^install ok installed' || missing="$$missing $$p"; \
	done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "The tests need packages that are missing; on Debian: sudo apt-get install --no-install-recommends$$missing" >&2; exit 1; \
	fi; \
	export DEBIAN_FRONTEND=noninteractive; \
	apt-get update -q && apt-get install -q -y --no-install-recommends $$missing

clean: ## remove what was built and what the demo stored
	rm -rf bin data coverage.out
