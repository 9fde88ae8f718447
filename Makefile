# `make` alone lists what there is. Everything works on a fresh Debian with git, Rust and a C compiler;
# what else is needed is installed first, or named where that is not possible.

# The small school platform, a crowd, and einlass between them.
# Run as it was built: `cargo run --package` would choose other features and build the dependencies once more.
DEMO ?= $(or $(CARGO_TARGET_DIR),target)/debug/demo

.PHONY: fleet-tools help demo simulate ways matrix compare fairness capacity isolation memory balance streams test unit format-check clippy doc doctest deny audit fuzz-fleet bench fmt release clean build-tools test-tools browser
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:          ## this list
	@sed -n 's/^\([a-z-]*\): *[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

demo: $(if $(filter-out 1,$(GATEWAYS)),fleet-tools,build-tools)    ## watch a crowd being let in, and open the waiting page and the desk in a browser; GATEWAYS=3: three of them and a Redis
	cargo build --workspace --bins
	$(DEMO)

compare: build-tools    ## the same crowd without einlass and with it, side by side; about five minutes
	cargo build --workspace --bins
	$(DEMO) compare --markdown deploy/handbook/comparison.md

fairness: build-tools    ## small and large schools in one room: equal waits, nobody overtaken; about four minutes
	cargo build --workspace --bins
	$(DEMO) fairness --markdown deploy/handbook/fairness.md

capacity: build-tools    ## the pacer, told nothing, against the best fixed setting; about half an hour
	cargo build --workspace --bins
	$(DEMO) capacity --markdown deploy/handbook/capacity.md

isolation: build-tools    ## one region in trouble, another one that should not notice; about six minutes, ROUNDS=1: half of that; WAITING=100000: so many wait
	cargo build --workspace --bins
	$(DEMO) isolation --markdown deploy/handbook/isolation.md

memory: build-tools    ## fifty thousand wait and poll: what each costs the gateway; about two minutes
	cargo build --workspace --bins
	$(DEMO) memory --markdown deploy/handbook/memory.md

ways: build-tools    ## every scenario with the room and with other ways to let logins in, in virtual time; some minutes
	cargo build --workspace --bins
	$(DEMO) ways --markdown deploy/handbook/ways.md

matrix: build-tools    ## the pacer over the whole breadth of pools, loads and numbers of gateways, in virtual time; about ten minutes
	cargo run --package einlass-simulator --example matrix -- deploy/handbook/matrix.md

balance: build-tools    ## one of four servers at half the speed: who gets which logins, under each policy; about three minutes
	cargo build --workspace --bins
	$(DEMO) balance --markdown deploy/handbook/balance.md

streams: build-tools    ## a gibibyte each way, a thousand listeners and a WebSocket pass through while a crowd logs in; about five minutes
	cargo build --workspace --bins
	$(DEMO) streams --markdown deploy/handbook/streams.md

simulate: build-tools    ## rehearse the morning of 11 January 2021 in virtual time, with a report to open in a browser; about a minute
	cargo build --package einlass --bin einlass
	$(dir $(DEMO))einlass simulate --scenario benches/scenarios/january_2021.toml --html $(dir $(DEMO))january_2021.html
	@echo "Open $(dir $(DEMO))january_2021.html in a browser"

test: format-check clippy doc deny doctest unit    ## everything that must be right before a commit is kept

unit: test-tools browser    ## the tests themselves: units, whole gateways, a real Django, a real browser
	cargo nextest run --workspace

doctest: test-tools    ## the examples in the documentation
	cargo test --workspace --doc

format-check: test-tools
	cargo fmt --all --check

clippy: test-tools    ## the lints, as errors
	cargo clippy --workspace --all-targets -- -D warnings

doc: test-tools    ## the documentation, broken links as errors
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

deny: test-tools    ## licences, banned crates and sources of the dependencies
	cargo deny check --hide-inclusion-graph bans licenses sources

audit: test-tools    ## the dependencies against the advisory database, which it fetches
	cargo deny check advisories

fuzz-fleet: build-tools    ## other mornings of a fleet than the ones in the tests, with everything that can break; CASES=30000 of them
	PROPTEST_CASES=$(or $(CASES),30000) cargo test --release --package einlass-admission --test fleet any_interleaving

bench: build-tools    ## the micro-benchmarks of the room; about three minutes
	cargo bench --package einlass-admission --bench room

fmt:    ## format the code
	cargo fmt --all

release: build-tools    ## the binary as it is shipped
	cargo build --release --package einlass --bin einlass

clean:    ## remove everything that was built
	cargo clean

fleet-tools:
	@deploy/dev/install-missing fleet

build-tools:
	@deploy/dev/install-missing build

test-tools:
	@deploy/dev/install-missing test

browser: test-tools
	@gateway/tests/browser/setup
