# What is given to others, and what it is looked at with. Tools are built once, each in a folder named for its version.

TOOLS := $(HOME)/.cache/weightedshare
MDBOOK := $(TOOLS)/mdbook-v0.5.4
DENY := $(TOOLS)/cargo-deny-v0.20.2
CYCLONEDX := $(TOOLS)/cargo-cyclonedx-v0.5.9

VERSION := $(shell sed -n '0,/^version/s/^version = "\(.*\)"/\1/p' Cargo.toml)
RELEASE := target/release-v$(VERSION)
OTHER := aarch64-unknown-linux-musl
ADVISORIES := https://github.com/RustSec/advisory-db

# No path of the machine that builds is in what is built: the same sources give the same bytes.
ANYWHERE := --remap-path-prefix=$(CURDIR)=/weightedshare --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS := $(ANYWHERE)
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUSTFLAGS := $(ANYWHERE)

.PHONY: book deny sbom arm64 release reproducible

# They have little to do, so that a quick build of them is worth more than a quick run.
$(TOOLS)/%/.crates.toml: export CARGO_PROFILE_RELEASE_OPT_LEVEL := 1
$(TOOLS)/%/.crates.toml: export CARGO_PROFILE_RELEASE_LTO := off
$(TOOLS)/%/.crates.toml: export CARGO_PROFILE_RELEASE_CODEGEN_UNITS := 16
$(TOOLS)/%/.crates.toml: export CARGO_PROFILE_RELEASE_DEBUG := 0
$(TOOLS)/%/.crates.toml: | toolchain
	cargo install $(firstword $(subst -v, ,$*)) --version $(lastword $(subst -v, ,$*)) --locked --root $(TOOLS)/$*

book: $(MDBOOK)/.crates.toml ## docs/ as a book, in target/book: the pages, with a search
	$(MDBOOK)/bin/mdbook build

deny: $(DENY)/.crates.toml ## licences and origins of all that is built in; what is known against it, where that can be asked
	$(DENY)/bin/cargo-deny --log-level error check licenses bans sources
	@if GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote -q $(ADVISORIES) HEAD > /dev/null 2>&1; then \
	  $(DENY)/bin/cargo-deny --log-level error check advisories; \
	else echo 'advisories: $(ADVISORIES) cannot be reached from here, so nobody was asked'; fi

sbom: $(CYCLONEDX)/.crates.toml ## all that is built in, as CycloneDX, in target/
	PATH="$(CYCLONEDX)/bin:$$PATH" cargo cyclonedx --quiet --format json --spec-version 1.5 --target $(TARGET) --override-filename sbom
	mkdir -p target && sed 's|file://$(CURDIR)|file://|' sbom.json > target/weightedshare.cdx.json && rm -f sbom.json e2e/sbom.json e2e/service/sbom.json
	@echo "target/weightedshare.cdx.json: $$(grep -c '"purl": "pkg:cargo' target/weightedshare.cdx.json) packages"

# Built with rust-lld, which comes with Rust; a few files in C take a compiler.
arm64: export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER := rust-lld
arm64: export CC_aarch64_unknown_linux_musl := aarch64-linux-gnu-gcc
arm64: binary ## the program for arm64, run beside the other one: both must say the same
	@command -v aarch64-linux-gnu-gcc qemu-aarch64-static > /dev/null || { \
	  echo 'missing: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static' >&2; exit 1; }
	rustup target add $(OTHER)
	cargo build --release --locked --target $(OTHER)
	for what in 'plan -f docs/shop.yaml' 'top -f docs/shop.yaml' 'explain -f docs/shop.yaml -n shop search-1' crd; do \
	  $(BINARY) $$what > target/here.txt && \
	  qemu-aarch64-static target/$(OTHER)/release/weightedshare $$what > target/there.txt && \
	  cmp target/here.txt target/there.txt && echo "weightedshare $$what: the same" || exit 1; done

release: arm64 sbom harness setup ## all that is published, with its sums: images, archives for krew, charts
	rm -rf $(RELEASE) && mkdir -p $(RELEASE)
	$(E2E) image --binary target/x86_64-unknown-linux-musl/release/weightedshare --binary target/$(OTHER)/release/weightedshare \
	  --output $(RELEASE)/weightedshare-image.tar
	cp target/weightedshare.cdx.json $(RELEASE)/
	for of in amd64=x86_64 arm64=aarch64; do \
	  folder=$(RELEASE)/$${of%=*} && mkdir $$folder && cp LICENSE $$folder/ && \
	  cp target/$${of#*=}-unknown-linux-musl/release/weightedshare $$folder/kubectl-weightedshare && \
	  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C $$folder -cf - . | gzip -9n > $$folder.tar.gz && \
	  rm -r $$folder && mv $$folder.tar.gz $(RELEASE)/kubectl-weightedshare-linux-$${of%=*}.tar.gz || exit 1; done
	cp deploy/krew/weightedshare.yaml $(RELEASE)/weightedshare.yaml
	for arch in amd64 arm64; do \
	  sum=$$(sha256sum < $(RELEASE)/kubectl-weightedshare-linux-$$arch.tar.gz | cut -d' ' -f1) && \
	  sed -i "s/SUM_OF_$$arch/$$sum/; s/VERSION/$(VERSION)/" $(RELEASE)/weightedshare.yaml || exit 1; done
	for chart in weighted-share-crds weighted-share; do \
	  $(TOOLS)/helm-*/helm package --destination $(RELEASE) charts/$$chart || exit 1; done
	cd $(RELEASE) && sha256sum * > SHA256SUMS && cat SHA256SUMS

reproducible: binary harness ## the last commit, built once more in another folder: the same bytes
	@git diff --quiet HEAD || { echo 'What is here is not what was committed last: commit it, or put it away.' >&2; exit 1; }
	rm -rf target/again && git clone --quiet . target/again && $(MAKE) -C target/again binary
	for place in . target/again; do \
	  $(E2E) image --binary $$place/target/$(TARGET)/release/weightedshare --output $$place/target/reproducible.tar || exit 1; done
	sha256sum target/reproducible.tar target/again/target/reproducible.tar
	cmp target/reproducible.tar target/again/target/reproducible.tar
