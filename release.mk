# What is published, and the tools that check it. Tools are built once, each in a folder named after its version.

TOOLS := $(HOME)/.cache/weightedshare
MDBOOK := $(TOOLS)/mdbook-v0.5.4
DENY := $(TOOLS)/cargo-deny-v0.20.2
CYCLONEDX := $(TOOLS)/cargo-cyclonedx-v0.5.9

VERSION := $(shell sed -n '0,/^version/s/^version = "\(.*\)"/\1/p' Cargo.toml)
RELEASE := target/release-v$(VERSION)
OTHER := aarch64-unknown-linux-musl
ADVISORIES := https://github.com/RustSec/advisory-db

# Where users find what is published: the image, without its tag, and the files, in a folder for each version.
IMAGE := weightedshare.dev/weightedshare
DOWNLOADS := https://weightedshare.dev/releases
# One file for `kubectl apply`.
INSTALL := target/release/weighted-share-install.yaml

# Builds contain no path of the build machine, so the same sources give the same bytes.
ANYWHERE := --remap-path-prefix=$(CURDIR)=/weightedshare --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS := $(ANYWHERE)
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUSTFLAGS := $(ANYWHERE)

.PHONY: book deny sbom arm64 install-yaml release reproducible

# These tools do little work, so a fast build is worth more than a fast tool.
$(TOOLS)/%/.crates.toml: export CARGO_PROFILE_RELEASE_OPT_LEVEL := 1
$(TOOLS)/%/.crates.toml: export CARGO_PROFILE_RELEASE_LTO := off
$(TOOLS)/%/.crates.toml: export CARGO_PROFILE_RELEASE_CODEGEN_UNITS := 16
$(TOOLS)/%/.crates.toml: export CARGO_PROFILE_RELEASE_DEBUG := 0
$(TOOLS)/%/.crates.toml: | toolchain
	cargo install $(firstword $(subst -v, ,$*)) --version $(lastword $(subst -v, ,$*)) --locked --root $(TOOLS)/$*

book: $(MDBOOK)/.crates.toml ## build docs/ as a book in target/book, with a search
	$(MDBOOK)/bin/mdbook build

deny: $(DENY)/.crates.toml ## check the licences, origins and known vulnerabilities of all dependencies (the last only if the database can be reached)
	$(DENY)/bin/cargo-deny --log-level error check licenses bans sources
	@if GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote -q $(ADVISORIES) HEAD > /dev/null 2>&1; then \
	  $(DENY)/bin/cargo-deny --log-level error check advisories; \
	else echo 'advisories: $(ADVISORIES) cannot be reached from here, so they were not checked'; fi

sbom: $(CYCLONEDX)/.crates.toml ## list all dependencies in target/, as CycloneDX
	PATH="$(CYCLONEDX)/bin:$$PATH" cargo cyclonedx --quiet --format json --spec-version 1.5 --target $(TARGET) --override-filename sbom
	mkdir -p target && sed 's|file://$(CURDIR)|file://|' sbom.json > target/weightedshare.cdx.json && rm -f sbom.json e2e/sbom.json e2e/service/sbom.json
	@echo "target/weightedshare.cdx.json: $$(grep -c '"purl": "pkg:cargo' target/weightedshare.cdx.json) packages"

# Linked with rust-lld, which comes with Rust. A few C files need a compiler.
arm64: export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER := rust-lld
arm64: export CC_aarch64_unknown_linux_musl := aarch64-linux-gnu-gcc
arm64: binary ## build the program for arm64, and check that it prints the same as the other one
	@command -v aarch64-linux-gnu-gcc qemu-aarch64-static > /dev/null || { \
	  echo 'Tools for arm64 are missing: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static' >&2; exit 1; }
	rustup target add $(OTHER)
	cargo build --release --locked --target $(OTHER) $(REPEATABLE)
	for what in 'plan -f docs/shop.yaml' 'top -f docs/shop.yaml' 'explain -f docs/shop.yaml -n shop search-1' crd; do \
	  $(BINARY) $$what > target/here.txt && \
	  qemu-aarch64-static target/$(OTHER)/release/weightedshare $$what > target/there.txt && \
	  cmp target/here.txt target/there.txt && echo "weightedshare $$what: the same" || exit 1; done

# HELM=PROGRAM uses a Helm that is installed already, and no `setup` is needed.
RUN_HELM = $(or $(HELM),$(TOOLS)/helm-*/helm)
# Without a cluster, Helm does not know the cluster's version. The policies need Kubernetes 1.36, so they are left out.
RENDER = $(RUN_HELM) template --namespace weighted-share-system --kube-version 1.36.0 --no-hooks

install-yaml: $(if $(HELM),,setup) ## write both charts as one file for kubectl apply, in target/release: CRDs, namespace, controller
	mkdir -p $(dir $(INSTALL))
	$(RENDER) weighted-share-crds charts/weighted-share-crds > $(INSTALL).part
	{ echo ---; cat deploy/base/namespace.yaml; } >> $(INSTALL).part
	$(RENDER) weighted-share charts/weighted-share --set admissionPolicy.enabled=false --set image.repository=$(IMAGE) \
	  >> $(INSTALL).part
	sed 's|app.kubernetes.io/managed-by: Helm|app.kubernetes.io/managed-by: kubectl|' $(INSTALL).part > $(INSTALL)
	rm $(INSTALL).part

release: arm64 sbom harness install-yaml ## build all that is published, with checksums: images, archives for krew, charts, install.yaml
	rm -rf $(RELEASE) && mkdir -p $(RELEASE)
	$(E2E) image --binary target/x86_64-unknown-linux-musl/release/weightedshare --binary target/$(OTHER)/release/weightedshare \
	  --output $(RELEASE)/weightedshare-image.tar
	cp target/weightedshare.cdx.json $(RELEASE)/
	for of in amd64=x86_64 arm64=aarch64; do \
	  folder=$(RELEASE)/$${of%=*} && mkdir $$folder && cp LICENSE $$folder/ && \
	  cp target/$${of#*=}-unknown-linux-musl/release/weightedshare $$folder/kubectl-weightedshare && \
  cp deploy/krew/kubectl_complete-weightedshare $$folder/ && \
	  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C $$folder -cf - . | gzip -9n > $$folder.tar.gz && \
	  rm -r $$folder && mv $$folder.tar.gz $(RELEASE)/kubectl-weightedshare-linux-$${of%=*}.tar.gz || exit 1; done
	cp deploy/krew/weightedshare.yaml $(RELEASE)/weightedshare.yaml
	for arch in amd64 arm64; do \
	  sum=$$(sha256sum < $(RELEASE)/kubectl-weightedshare-linux-$$arch.tar.gz | cut -d' ' -f1) && \
	  sed -i "s/SUM_OF_$$arch/$$sum/; s/VERSION/$(VERSION)/" $(RELEASE)/weightedshare.yaml || exit 1; done
	sed -i 's|https://weightedshare.dev/releases|$(DOWNLOADS)|' $(RELEASE)/weightedshare.yaml
	cp $(INSTALL) $(RELEASE)/install.yaml
	rm -rf target/charts && cp -rL charts target/charts
	sed -i 's|weightedshare.dev/weightedshare|$(IMAGE)|' $(addprefix target/charts/weighted-share/,values.yaml Chart.yaml README.md)
	for chart in weighted-share-crds weighted-share; do \
	  $(RUN_HELM) package --destination $(RELEASE) target/charts/$$chart || exit 1; done
	cd $(RELEASE) && sha256sum * > SHA256SUMS && cat SHA256SUMS

reproducible: binary harness ## build the last commit once more in another folder, and check that the bytes are the same
	@git diff --quiet HEAD || { echo 'The working tree differs from the last commit: commit the changes, or stash them.' >&2; exit 1; }
	rm -rf target/again && git clone --quiet . target/again && $(MAKE) -C target/again binary
	for place in . target/again; do \
	  $(E2E) image --binary $$place/target/$(TARGET)/release/weightedshare --output $$place/target/reproducible.tar || exit 1; done
	sha256sum target/reproducible.tar target/again/target/reproducible.tar
	cmp target/reproducible.tar target/again/target/reproducible.tar
