# make              build bin/ftpfs
# make demo         build it, and show it at work on an embedded FTP server
# make test         install what the tests need (as root on Debian), run all of them
# make unit         only what needs neither a mount nor (mostly) a server
# make mounted      only the tests of the real binary, mounted; T=regexp selects some
# make fuzz         every fuzz target, FUZZTIME=10m for all together; F=regexp selects some
# make crash        KILLS=210 kills of the daemon under load, CUTS=40 and LIVES=8 lives with power cuts
# make matrix       the contract and rsync there and back: servers × encryption × TLS version × mode × listing, as a table
# make tls          TLSTIMES=50 of each encrypted transfer, sessions resumed, faults encrypted
# make trial        1 GiB by rsync over a slow line, with kills, restarts and a silence (8 minutes)
# make bench        workloads over a slow line, beside rclone if it is there; BENCH='-bench.server vsftpd -bench.rtt 100ms'
# make soak         100,000 random operations against a model, in less than ten minutes
# make race         the mounted tests with the daemon under the race detector
# make fmt vet clean install uninstall
#
# Needed: Go, and for the tests on Debian nothing else. See README.md.

GO      ?= go
PREFIX  ?= /usr/local
DESTDIR ?=
SBINDIR ?= /sbin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
T       ?= .
F       ?= .
FUZZTIME ?= 10m
KILLS   ?= 210
CUTS    ?= 40
TLSTIMES ?= 50
LIVES   ?= 8

LDFLAGS = -s -w -X main.version=$(VERSION)
REPORT  = $(GO) run ./test/report

# The race detector needs a C compiler; test/deps.sh installs one where it can.
RACE = $(if $(shell command -v $${CC:-gcc} 2>/dev/null),-race)

# Runs of go test, for test/report. The power is cut without the race detector: thousands
# of starts, one after the other, take five to twenty times as long with it. Each benchmark is run
# once, and small, so that none of them rots. Many tests of the mounted program wait for timeouts,
# so that more of them run side by side than there are processors. The daemon under
# the race detector is slow: it does everyday work on one server, and in make test it
# leaves out what moves large amounts or mostly waits (make race has all of it, but for
# the bounds of memory, which are not those of the race detector).
UNIT = echo "== unit and contract tests $(if $(RACE),under the race detector,WITHOUT the race detector: no C compiler)"; \
	$(GO) test -json $(RACE) -timeout 20m -skip '^TestPowerCut' $$($(GO) list ./... | grep -v -e /test/mounted -e /test/crash); \
	$(GO) test -json -timeout 10m -run '^TestPowerCut' ./cache/spool ./cache; \
	$(GO) test -json -short -timeout 10m -run '^$$' -bench . -benchtime 1x $(BENCHMARKS)
BENCHMARKS = $$(git grep -l '^func Benchmark' -- '*_test.go' | xargs -n1 dirname | sort -u | sed 's,^,./,')
MOUNTED = echo "== the mounted program"; \
	FTPFS_BIN=$(CURDIR)/bin/ftpfs $(GO) test -json -timeout 20m -count=1 -p 1 -parallel 4 -run '$(T)' ./test/mounted ./test/crash
RACED = echo "== the mounted program under the race detector"; \
	FTPFS_BIN=$(CURDIR)/bin/ftpfs.race GORACE=atexit_sleep_ms=0 $(GO) test -json -race -short -timeout 20m -count=1 -parallel 4 -run '$(T)' -skip 'TestHostileServerIsBounded$(1)' ./test/mounted
SLOW = |TestEveryEndIsBounded|TestStoppedServerDuringRsyncDelete|TestASpoolDiskThatFails|TestMountWithManyOwedFiles|TestSIGTERMKeepsWhatIsOwed|TestSystemdUnit|TestCopyOfMoreThanTheSpoolHolds|TestUploadsFreeAFullSpoolDisk|TestReadsGoOnWithAFullCacheDisk
SOAK = echo "== a long time of random operations"; \
	FTPFS_BIN=$(CURDIR)/bin/ftpfs FTPFS_SOAK=$(SOAKOPS) FTPFS_SOAK_MOUNTED=$(SOAKMOUNTED) \
	$(GO) test -json -timeout 40m -count=1 -run '^TestSoak$$' ./cache ./test/soak; \
	$(FAULTS)
FAULTS = $(GO) test -json -timeout 20m -count=1 -run '^TestFaultMatrix$$' ./ftpconn -faults.all
SOAKOPS ?= 105000
SOAKMOUNTED ?= 4000
CRASH = echo "== kill -9 and power cuts"; \
	FTPFS_BIN=$(CURDIR)/bin/ftpfs $(GO) test -json -timeout 60m -count=1 ./test/crash -crash.kills $(KILLS); \
	FTPFS_BIN=$(CURDIR)/bin/ftpfs $(GO) test -json -timeout 20m -count=1 -run TestMountWithManyOwedFiles ./test/mounted -owed.files 100000; \
	$(GO) test -json -timeout 60m -count=1 -run PowerCut ./cache/spool -powercut.seeds $(CUTS); \
	$(GO) test -json -timeout 60m -count=1 -run PowerCut ./cache -treecut.lives $(LIVES)
TLS = echo "== TLS: each transfer $(TLSTIMES) times"; \
	$(GO) test -json -timeout 90m -count=1 -run '^(TestEncryptedTransfers|TestSessionsAreResumed)$$' ./test -tls.times $(TLSTIMES); \
	$(GO) test -json -timeout 20m -count=1 ./ftpconn -tls
MATRIX = echo "== the matrix of servers"; \
	$(GO) test -json -timeout 120m -count=1 -run '^(TestContract|TestContractOdd)$$' ./test -matrix; \
	FTPFS_BIN=$(CURDIR)/bin/ftpfs $(GO) test -json -timeout 60m -count=1 -parallel 3 -run '^(TestMatrix|TestOddServers)$$' ./test/mounted -matrix
FUZZ = echo "== fuzz targets, $(1) together"; $(GO) run ./test/fuzz -time $(1) -run '$(F)'

.PHONY: all build demo test tested check deps unit mounted race crash soak fuzz tls matrix trial bench fmt vet clean install uninstall

all: build

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ftpfs ./cmd/ftpfs

demo: build
	CGO_ENABLED=0 $(GO) run ./test/demo -ftpfs bin/ftpfs

test: deps
	@$(MAKE) --no-print-directory check tested

tested: build $(if $(RACE),bin/ftpfs.race)
	@{ $(UNIT); $(MOUNTED); $(if $(RACE),$(call RACED,$(SLOW));) $(call FUZZ,25s); } | $(REPORT) $$($(GO) list ./...)

deps:
	@sh test/deps.sh

check: vet
	@bad=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$bad" ]; then echo "not formatted (make fmt):"; echo "$$bad"; exit 1; fi

vet:
	$(GO) vet ./...

unit:
	@{ $(UNIT); } | $(REPORT)

mounted: build
	@$(MOUNTED) | $(REPORT)

race: deps bin/ftpfs.race
	@$(call RACED) | $(REPORT)

crash: deps build
	@{ $(CRASH); } | $(REPORT)

soak: deps build
	@{ $(SOAK); } | $(REPORT)

fuzz:
	@{ $(call FUZZ,$(FUZZTIME)); } | $(REPORT)

tls: deps
	@{ $(TLS); } | $(REPORT)

matrix: deps build
	@{ $(MATRIX); } | $(REPORT)

trial: deps build
	FTPFS_BIN=$(CURDIR)/bin/ftpfs $(GO) test ./test/trial -count=1 -v -timeout 30m -trial.full

bench: deps build
	FTPFS_BIN=$(CURDIR)/bin/ftpfs $(GO) test ./test/bench -count=1 -v -timeout 3h -bench.full $(BENCH)

bin/ftpfs.race: build
	$(GO) build -race -ldflags '$(LDFLAGS)' -o $@ ./cmd/ftpfs

fmt:
	gofmt -w $$(git ls-files '*.go')

clean:
	rm -rf bin

install: build
	install -D -m 755 bin/ftpfs $(DESTDIR)$(PREFIX)/bin/ftpfs
	install -d $(DESTDIR)$(SBINDIR)
	ln -sf $(PREFIX)/bin/ftpfs $(DESTDIR)$(SBINDIR)/mount.ftpfs
	ln -sf $(PREFIX)/bin/ftpfs $(DESTDIR)$(SBINDIR)/mount.fuse.ftpfs

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/ftpfs $(DESTDIR)$(SBINDIR)/mount.ftpfs $(DESTDIR)$(SBINDIR)/mount.fuse.ftpfs
