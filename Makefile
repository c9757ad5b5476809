# Three commands: `make try` shows a plan without a cluster, `make demo` shows the main job on a real cluster, and
# `make test` proves it. With CLUSTER=current the last two use the cluster of the current kubeconfig, and start nothing.

TARGET := x86_64-unknown-linux-musl
ifeq ($(shell uname -m),aarch64)
TARGET := aarch64-unknown-linux-musl
endif
BINARY := $(CURDIR)/target/$(TARGET)/release/weightedshare
export WEIGHTEDSHARE_BINARY := $(BINARY)
E2E := target/debug/e2e
# Cluster tests share one node, so they run one at a time, one file after the other. (They are built for the whole workspace,
# like the unit tests: with other features, the dependencies of both would be built twice.)
# They wait more than they compute, so they are built without the optimisation of the unit tests.
CLUSTER_TEST := cargo test --workspace --locked --profile dev
# `make test` shows each promise once: docs/testing.md says which test shows it. used_rights checks what the others did.
CLUSTER_TESTS := harness guest machines migration newcomer schema states laws resizes examples changes neighbours plan tenant trees \
  lending prometheus page footprint chart division admission leader uninstall used_rights
# Tests that take longer than their promise needs. If a file is in both lists, TIER chooses its tests.
NIGHTLY_TESTS := admission cgroup_v2 lending migration nodes objective prometheus resizes rollout simulate tree_nodes tree_scale tree_tenant

# The results of the test runs of one `make test`, for the summary at its end.
TIMES := target/times.jsonl
TIMED = $(E2E) timed --record $(TIMES) --

# Builds the tests in these files, then runs them on a cluster. The second argument goes to the test runner.
define on_cluster
	$(CLUSTER_TEST) --no-run $(addprefix --test ,$(1))
	$(TIMED) $(E2E) run -- $(CLUSTER_TEST) --offline --no-fail-fast $(addprefix --test ,$(1)) \
	  -- --ignored --test-threads=1 --nocapture $(2)
endef

# The supported versions of Kubernetes. The last patch release of each is tested.
VERSIONS := v1.34 v1.35 v1.36 v1.37

# A test on the cluster explains itself by its error; a hundred lines of backtrace would hide it.
e2e longer versions chaos stats plug: export RUST_BACKTRACE := 0

.PHONY: help try demo test test-cluster nightly nightly-cluster fresh beside lint unit e2e longer versions cluster binary faults seeds chaos stats plug bench scale worth crds manifests docs pictures image clean

help: ## show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

# TRY=PROGRAM uses an existing program.
try: $(if $(TRY),,toolchain) ## take a first look without a cluster: a plan in the terminal and as a page (no root, no Go; a few minutes to build)
	$(if $(TRY),,cargo build -p weightedshare --bin weightedshare --locked --profile try)
	@sh docs/try.sh "$(or $(TRY),$(or $(CARGO_TARGET_DIR),target)/try/weightedshare)" "$(CURDIR)/target/try/index.html"

demo: setup binary harness ## watch three Deployments share a real node by weight (2 minutes after the build)
	@$(E2E) demo

# Everything that the cluster tests need is built first: a build beside them would wait for other builds.
test: fresh setup binary ## show every promise: lints, unit and property tests, tests on a real cluster
	$(CLUSTER_TEST) --no-run $(addprefix --test ,$(CLUSTER_TESTS) chaos)
	$(MAKE) --jobs=2 --keep-going test-cluster beside
	@$(E2E) times $(TIMES)

# Tests on the cluster mostly wait. Targets that only compute use the idle CPU time, and their output is shown when they end.
# The lints come first: a build in the target folder of the cluster tests would hold those up.
# A priority counts only among the processes of one session (Linux groups them by session), so this is a session of its own
# with the lowest priority. Ctrl-C does not reach it by itself.
BESIDE := lint unit
beside:
	@setsid sh -c '[ ! -w /proc/self/autogroup ] || echo 19 > /proc/self/autogroup; exec nice -n 19 $(MAKE) --jobs=1 $(BESIDE)' \
	  > target/beside.log 2>&1 & lane=$$!; trap 'kill -- -$$lane' INT TERM; \
	wait $$lane; code=$$?; cat target/beside.log; exit $$code

# Chaos comes first: it ends while the lints, which build elsewhere, still run. Later, the build of the unit tests would lock
# the target folder for minutes.
test-cluster:
	$(MAKE) --jobs=1 --keep-going chaos e2e TIER=test

# Targets that only compute run beside all of it.
nightly: fresh setup binary ## run `make test`, then everything that takes too long for each change: two hours
	$(CLUSTER_TEST) --no-run $(addprefix --test ,$(sort $(CLUSTER_TESTS) $(NIGHTLY_TESTS) chaos plug))
	$(MAKE) --jobs=2 --keep-going nightly-cluster beside BESIDE='lint unit seeds release reproducible book'
	@$(E2E) times $(TIMES)

# One after the other, each even if an earlier one failed.
nightly-cluster:
	$(MAKE) --jobs=1 --keep-going test-cluster longer versions stats plug chaos

fresh:
	@rm -f $(TIMES)

# In a target folder of its own, because a build in the same folder would wait for it.
lint: toolchain deny
	cargo fmt --check
	cargo clippy --workspace --all-targets --locked --target-dir target/lint -- -D warnings

unit: harness ## run the unit and property tests, without a cluster
	$(TIMED) cargo test --workspace --locked --no-fail-fast

e2e: export ALL_TESTS := 1
e2e: setup binary harness ## run the tests on a real cluster
	$(call on_cluster,$(CLUSTER_TESTS))

longer: export TIER := nightly
longer: setup binary harness ## run the tests on a real cluster that `make test` leaves out: half an hour
	cargo build -p busy-service --release --locked --target $(TARGET)
	$(call on_cluster,$(NIGHTLY_TESTS))

# All versions are tested, and the test runner's summary of each is repeated at the end.
versions: export WEIGHTEDSHARE_BINARY := $(CURDIR)/target/debug/weightedshare
versions: setup ## test what the controller needs of an API server, on each supported Kubernetes version (2 minutes; the API servers are built first, once)
	cargo build -p weightedshare --locked
	$(CLUSTER_TEST) --no-run --test versions
	@mkdir -p target/versions && rm -f target/versions/*
	@for version in $(VERSIONS); do \
	  $(E2E) run --api-server $$version -- $(CLUSTER_TEST) --offline --test versions -- --ignored --test-threads=1 --nocapture 2>&1 \
	    | tee target/versions/$$version; \
	done
	@cd target/versions; for version in $(VERSIONS); do \
	  echo "$$version: $$(grep '^test result' $$version || echo no test was run)"; \
	done
	@cd target/versions; for version in $(VERSIONS); do grep -q '^test result: ok' $$version || exit 1; done

# On a cluster of its own, because the other tests need an untouched one. It kills the cluster's programs, so it never runs on
# yours.
chaos: export TIER ?= nightly
chaos: setup binary harness ## let everything go wrong at once, on a real cluster, for five minutes; CHAOS_SEED=n chooses the faults
ifeq ($(CLUSTER),current)
	@echo 'With CLUSTER=current nothing is killed: chaos is left out.'
else
	$(call on_cluster,chaos)
endif

# By default cAdvisor measures every 10 to 20 s, at times of its own. Guests are left to `longer`: an emulated kubelet that
# measures on request does so too unevenly.
stats: export TIER := all
stats: export WEIGHTEDSHARE_E2E_KUBELET_FLAGS := --feature-gates=PodAndContainerStatsFromCRI=true
stats: setup binary harness ## run the tests that follow measurements, on a kubelet that measures on request: a quarter of an hour
	$(call on_cluster,lending prometheus,--skip cgroup_v2)

plug: setup binary harness ## test that virtual machines are given more while they run: a quarter of an hour
	$(call on_cluster,plug)

cluster: setup binary harness ## open a shell on a cluster that is gone when you leave it
	@$(E2E) shell

# What is published does not depend on chance: build scripts and compilers get the same random numbers each time.
STEADY := $(CURDIR)/target/steady_random.so
REPEATABLE := --config 'env.LD_PRELOAD="$(STEADY)"'
$(STEADY): release/steady_random.c
	@mkdir -p $(@D)
	cc -shared -fPIC -O1 -o $@ $<

binary: toolchain $(STEADY) ## build the static binary, for the image
	@command -v musl-gcc > /dev/null || ls /lib/ld-musl-* > /dev/null 2>&1 || { \
	  echo 'A C compiler for static programs is missing: apt-get install musl-tools' >&2; exit 1; }
	rustup target add $(TARGET)
	cargo build --release --locked --target $(TARGET) $(REPEATABLE)

image: binary harness ## build an OCI image of it, as an archive, without a container engine
	@$(E2E) image --binary $(BINARY) --output target/weightedshare.tar

faults: export TIER := nightly
faults: harness ## run the fault bench 100,000 times (about an hour); SEED=n replays one run
	$(TIMED) cargo test -p weightedshare --release --locked --test faults -- --nocapture

# The same seeds again would find nothing new.
seeds: export RUNS := 20000
seeds: export FROM := $(shell expr $$(date +%s) / 86400 '*' 5000)
seeds: faults ## run the fault bench 20,000 times with the seeds of the day

bench: toolchain ## measure how long the division and whole decisions take, against sorting as many keys
	cargo bench -p weightedshare --locked --bench division --bench decide

# SIZES are pods in pools x namespaces. Both sides are release builds, as users run them.
SIZES := 1000x50 1000x1 10000x50 10000x1
scale: setup binary ## measure the controller in a large cluster, against a bare loop of the same resizes: an hour
	cargo build -p e2e --release --locked
	@mkdir -p target/scale
	@for size in $(SIZES); do \
	  target/release/e2e scale --pods $${size%x*} --namespaces $${size#*x} --json target/scale/$$size.json || exit 1; \
	done

# ROUNDS of each variant, ON these nodes; NEIGHBOURS are the other loads there.
ROUNDS := 5
ON := host,guest
NEIGHBOURS := quiet,normal,crowded
worth: setup binary ## compare the same loads with fixed limits, with requests only, under VPA and in a pool: five hours
	cargo build -p busy-service --release --locked --target $(TARGET)
	cargo build -p e2e --release --locked
	target/release/e2e build --compared > /dev/null
	target/release/e2e worth --rounds $(ROUNDS) --on $(ON) --neighbours $(NEIGHBOURS) --machines --output target/worth

crds: toolchain ## generate crds/ from the types
	cargo run --locked --quiet -- crd > target/crds.yaml && mv target/crds.yaml crds/weightedshares.yaml

manifests: setup binary harness ## generate deploy/ from the chart, for people who install without Helm
	$(CLUSTER_TEST) --no-run --test chart
	WRITE_MANIFESTS=1 $(E2E) run -- $(CLUSTER_TEST) --offline --test chart kustomize_has_the_files -- --ignored

docs: toolchain pictures ## regenerate what the documents show: outputs and pictures
	WRITE_DOCS=1 cargo test -p weightedshare --locked --test docs

pictures: toolchain ## draw docs/pictures/*.svg from the code
	cargo run -p weightedshare --locked --quiet --example pictures

harness: toolchain
	cargo build -p e2e --locked

# Installs the Debian packages and builds the cluster's programs once. After that, it only checks them.
setup: harness
	@$(E2E) build > /dev/null

toolchain:
	@command -v cargo > /dev/null && command -v rustup > /dev/null || { \
	  echo 'Rust is missing: install rustup from https://rustup.rs; rust-toolchain.toml names the version.' >&2; exit 1; }
	@command -v cc > /dev/null || { echo 'A C compiler is missing: apt-get install gcc' >&2; exit 1; }

include release.mk
include dev.mk

clean: ## remove all that was built here (the cluster's programs stay in ~/.cache/weightedshare)
	cargo clean
