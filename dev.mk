# The dev loop: the controller of this working tree, on a cluster in containers.

# The kind cluster to use. It is created if it does not exist.
KIND_CLUSTER ?= kind
ON_CLUSTER = kubectl --context 'kind-$(KIND_CLUSTER)' --namespace weighted-share-system

.PHONY: dev dev-tools

# The image's tag stays the same, so only a restart takes the new image.
dev: dev-tools image ## run the controller of this working tree on a kind cluster (KIND_CLUSTER=NAME, by default kind)
	kind get clusters 2> /dev/null | grep -qxF '$(KIND_CLUSTER)' || kind create cluster --name '$(KIND_CLUSTER)'
	kind load image-archive target/weightedshare.tar --name '$(KIND_CLUSTER)'
	for chart in weighted-share-crds weighted-share; do \
	  helm upgrade --install $$chart charts/$$chart --kube-context 'kind-$(KIND_CLUSTER)' \
	    --namespace weighted-share-system --create-namespace || exit 1; done
	$(ON_CLUSTER) rollout restart deployment/weighted-share
	$(ON_CLUSTER) rollout status deployment/weighted-share --timeout=3m

dev-tools:
	@for tool in kind helm kubectl; do command -v $$tool > /dev/null || { \
	  echo "$$tool is missing: 'make dev' needs kind, helm and kubectl in the PATH (see CONTRIBUTING.md)." >&2; exit 1; }; done
