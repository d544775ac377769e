# Mainstay: everything that is done with this tree. 'make help' lists it.
#
# No step fetches anything but Go modules, Debian packages (for the tests) and
# npm packages, each by the usual client, so mirrors set up for those are used.

SHELL         := bash
.SHELLFLAGS   := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS     += --no-builtin-rules

# The go command uses all processors by itself, and steps that print in turns
# cannot be read.
.NOTPARALLEL:

GO  ?= go
NPM ?= npm

# --- which build this is ----------------------------------------------------

# From git where there is git: v1.2.3 gives 1.2.3, five commits later
# 1.2.3-5-g0123456789ab; without any tag the count is that of all commits. An
# archive without git carries a file VERSION.
ifneq ($(wildcard .git),)
VERSION  := $(shell git describe --tags --match 'v[0-9]*' --abbrev=12 --dirty 2>/dev/null || \
              echo "v0.0.0-$$(git rev-list --count HEAD)-g$$(git describe --always --exclude '*' --abbrev=12 --dirty)")
COMMIT   := $(shell git rev-parse HEAD)
BUILT_AT := $(shell git log -1 --format=%ct)
else
VERSION  := $(shell cat VERSION 2>/dev/null || echo 0.0.0-0-gunknown)
COMMIT   :=
BUILT_AT := $(shell echo "$${SOURCE_DATE_EPOCH:-$$(stat -c %Y VERSION go.mod 2>/dev/null | sort -n | head -n 1)}")
endif
VERSION  := $(VERSION:v%=%)

# Static and the same bytes for the same commit: no cgo, no paths of this
# machine, no stamp but ours; -s -w leaves out what only a debugger reads.
LINK     := -s -w -X mainstay/lib/version.Version=$(VERSION) \
            -X mainstay/lib/version.Commit=$(COMMIT) -X mainstay/lib/version.builtAt=$(BUILT_AT)
GO_BUILD  = CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LINK)'

HOST_ARCH := $(shell $(GO) env GOHOSTARCH)
ARCHES    ?= amd64 arm64
FOREIGN   := $(filter-out $(HOST_ARCH),$(ARCHES))

comma  := ,
empty  :=
space  := $(empty) $(empty)
commas  = $(subst $(space),$(comma),$(strip $(1)))

# --- what can be turned -----------------------------------------------------

TEST_TIMEOUT   ?= 20m#  for the tests of one package
TEST_ARGS      ?=#      more arguments of 'go test', such as -run TestImports
FUZZTIME       ?= 30s#  for each fuzz target
BENCH          ?= .#    which benchmarks, as a regular expression
BENCH_COUNT    ?= 1#    how often each
BENCH_PACKAGES ?= $(shell $(GO) list ./... | grep -v /test/bench)# for bench-packages
NEMESIS_ROUNDS ?= 20#   rounds of traffic and faults
SOAK_TIME      ?= 1h#   how long the soak goes on
SEED           ?=#      of a random test; empty draws one, and every run prints its own
DEV_ARGS       ?=#      arguments of 'mainstay dev'

# --- what the tests need ----------------------------------------------------

# Debian packages that tests call, each with what it is for. Programs of ours
# need none of them.
TEST_PACKAGES :=
TEST_PACKAGES += ca-certificates# npm and the Go module proxy are reached over TLS
TEST_PACKAGES += git#             the version comes from the history
TEST_PACKAGES += iproute2#        'ip' is compared with our network inventory and makes the second machine's network
TEST_PACKAGES += procps#          'free' is compared with our memory inventory
TEST_PACKAGES += util-linux#      'lscpu' and 'lsblk' are compared with our processor and disk inventory; 'unshare' gives tests a machine of their own
TEST_PACKAGES += debootstrap#     makes the clean root in which the second machine is installed
TEST_PACKAGES += fuse3#           mounts the folder that keeps only what was synced
TEST_PACKAGES += rpm#             reads the .rpm packages that we make, and installs them into a scratch root
TEST_PACKAGES += systemd#         'systemd-analyze' checks our units
TEST_PACKAGES += bash-completion# the completion file is loaded as a shell would
TEST_PACKAGES += chromium#        drives the console as a person would
TEST_PACKAGES += wget#            the line for the second machine fetches with it
TEST_PACKAGES += iputils-ping#    machines of tests reach each other or do not

# --- help -------------------------------------------------------------------

.PHONY: help
help: ## List what can be made
	@printf 'Mainstay %s\n\n' '$(VERSION)'
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\nTurned like so: make fuzz FUZZTIME=5m; the variables stand at the top of the Makefile.\n'

# --- build ------------------------------------------------------------------

.PHONY: build
build: console ## Build the three programs into bin/, static, console included
	$(GO_BUILD) -tags console -o bin/ ./cmd/mainstay
	$(GO_BUILD) -o bin/ ./cmd/mainstay-client ./cmd/mainstay-fleet

# The folders below are among the sources so that a deleted file is noticed.
CONSOLE_SOURCES := $(shell find console -maxdepth 1 -type f ! -name '*.go' ! -name '*.tsbuildinfo' 2>/dev/null; \
                     find console/src console/public 2>/dev/null) $(wildcard role/provider/apiv1/openapi.json)

.PHONY: console
console: console/dist/index.html ## Build the console, where its sources changed

console/dist/index.html: $(CONSOLE_SOURCES) console/node_modules/.package-lock.json
	$(NPM) --prefix console run build
	@touch $@

# npm writes .package-lock.json last, so it also tells that nothing is missing.
# Install scripts are off: they could fetch something that is no npm package.
console/node_modules/.package-lock.json: console/package.json console/package-lock.json
	$(NPM) --prefix console ci --ignore-scripts --no-audit --no-fund
	@touch $@

.PHONY: run
run: build ## Build, then run a whole site with this machine as its client, in ./var
	$(PACKAGE) -what client -arch $(HOST_ARCH) -format deb,rpm -compression gzip
	exec bin/mainstay dev $(DEV_ARGS)

# --- packages ---------------------------------------------------------------

# The packager is a module of its own, so that what it is built from stays out
# of our programs. Binaries of this machine's architecture are in bin/, others
# in bin/linux-ARCH/.
PACKAGE = $(GO) -C packaging run ./build -version '$(VERSION)' -mtime '$(BUILT_AT)' -binaries ../bin -out ../bin/packages

.PHONY: package
package: build ## Build .deb and .rpm of server and client for amd64 and arm64
	@for arch in $(FOREIGN); do \
		echo "building for $$arch"; \
		GOARCH=$$arch $(GO_BUILD) -tags console -o bin/linux-$$arch/ ./cmd/mainstay; \
		GOARCH=$$arch $(GO_BUILD) -o bin/linux-$$arch/ ./cmd/mainstay-client; \
	done
	$(PACKAGE) -what client,server -arch $(call commas,$(ARCHES)) -format deb,rpm

# --- tests ------------------------------------------------------------------

.PHONY: test
test: test-packages build lint console-test ## Run all tests; installs the Debian packages that they need
	@echo '== tests of the packages (.deb, .rpm)'
	$(GO) -C packaging vet ./...
	$(GO) -C packaging test -timeout $(TEST_TIMEOUT) ./...
	@echo '== tests'
	$(GO) test -p 2 -timeout $(TEST_TIMEOUT) $(TEST_ARGS) ./...

.PHONY: check
check: build ## Build, vet and run the short tests: what to do before each commit
	$(GO) vet ./...
	$(GO) test -short -p 2 -timeout 3m $(TEST_ARGS) ./...

# Every folder with Go files of ours. The go command's ./... is narrower: it
# leaves out modules of their own.
GO_FOLDERS = $(sort $(wildcard adminapi client cmd lib packaging role site test wire) $(wildcard *.go console/*.go))

.PHONY: lint
lint: console ## Run gofmt, vet and staticcheck
	@echo '== gofmt'
	@unformatted=$$(gofmt -l $(GO_FOLDERS)); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run 'gofmt -w' on:" $$unformatted >&2; exit 1; fi
	@echo '== go vet'
	$(GO) vet ./...
	$(GO) vet -tags console ./console/... ./cmd/mainstay/...
	@echo '== staticcheck'
	$(GO) tool staticcheck ./...
	$(GO) tool staticcheck -tags console ./console/... ./cmd/mainstay/...
	cd packaging && "$$($(GO) -C .. tool -n staticcheck)" ./...

.PHONY: console-test
console-test: console/node_modules/.package-lock.json ## Check the console's types and run its tests
	@echo '== console: types'
	$(NPM) --prefix console run typecheck
	@echo '== console: tests'
	CI=true $(NPM) --prefix console test

.PHONY: test-packages
test-packages: ## Install the Debian packages that the tests need
	@echo '== Debian packages for the tests: $(strip $(TEST_PACKAGES))'
	@if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then \
		echo 'this is no Debian machine: install what corresponds to the packages above by hand; tests whose program is missing say so'; \
		exit 0; \
	fi; \
	missing=(); \
	for package in $(TEST_PACKAGES); do \
		[ "$$(dpkg-query -W -f='$${db:Status-Status}' "$$package" 2>/dev/null)" = installed ] || missing+=("$$package"); \
	done; \
	if [ "$${#missing[@]}" = 0 ]; then echo 'all installed'; exit 0; fi; \
	root=(); \
	if [ "$$(id -u)" != 0 ]; then \
		command -v sudo >/dev/null || { echo "missing: $${missing[*]}; as root run: apt-get install $${missing[*]}" >&2; exit 1; }; \
		root=(sudo); \
	fi; \
	echo "installing: $${missing[*]}"; \
	"$${root[@]}" apt-get update -q; \
	"$${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$${missing[@]}"

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME
	@grep -rnoE --include='*_test.go' --exclude-dir=node_modules '^func Fuzz[A-Za-z0-9_]*' . | sort | \
	while IFS=: read -r file _ function; do \
		target=$${function#func }; \
		echo "== $$target in $$(dirname "$$file")"; \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" </dev/null; \
	done

.PHONY: bench
bench: ## Measure what is promised against bare limits and write docs/performance.md; part of it: BENCH
	$(GO) run ./test/bench/report -bench '$(BENCH)'

.PHONY: bench-packages
bench-packages: ## Run the benchmarks that stand beside the code: BENCH, BENCH_COUNT, BENCH_PACKAGES
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(BENCH_COUNT) -p 1 -timeout 60m $(BENCH_PACKAGES)

.PHONY: nemesis
nemesis: build ## Kill, cut, fill and corrupt a whole site: NEMESIS_ROUNDS, SEED
	$(GO) test -count 1 -v -timeout 0 -run Nemesis ./test/robustness -args -rounds=$(NEMESIS_ROUNDS) $(if $(SEED),-seed=$(SEED))

.PHONY: soak
soak: build ## The same without end in sight: SOAK_TIME, SEED
	$(GO) test -count 1 -v -timeout 0 -run Soak ./test/robustness -args -soak=$(SOAK_TIME) $(if $(SEED),-seed=$(SEED))

# --- the rest ---------------------------------------------------------------

.PHONY: generate
generate: console/node_modules/.package-lock.json ## Write generated code and lists again
	$(GO) generate ./...
	$(NPM) --prefix console run generate --if-present
	$(GO) test -run TestDependencies -update .

.PHONY: version
version: ## Print the version and the time of this build
	@echo '$(VERSION) $(BUILT_AT)'

.PHONY: clean
clean: ## Remove what was built; ./var, the site of 'make run', stays
	rm -rf bin dist console/dist console/node_modules
