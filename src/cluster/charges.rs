//! What Kubernetes charges a pod for: one rule, for pods that run, for what they began with, and for pods that are to come.
//!
//! The rule is that of `PodRequests` in Kubernetes' component-helpers, which the scheduler, the kubelet and quotas share: the
//! larger of the regular containers with the sidecars, and the init container that needs the most; in place of these, a pod-level
//! request; and the overhead.

use super::{Cluster, Owner, Pod, Resize, Template, Workload};
use crate::share::{Held, PerResource, Resource, charged};

/// The pod-level request as the API server fills it in. Where there is only a pod-level limit, it is what the containers request
/// together, or the limit where they request nothing. None: there is neither.
pub(super) fn pod_level_request(
    request: Option<u64>,
    limit: Option<u64>,
    of_containers: impl FnOnce() -> u64,
) -> Option<u64> {
    request.or_else(|| {
        let limit = limit?;
        Some(match of_containers() {
            0 => limit,
            requested => requested,
        })
    })
}

impl Pod {
    /// What Kubernetes charges for the pod now, in units of the resource.
    #[must_use]
    pub fn charge(&self, resource: Resource) -> u64 {
        let parts = self.parts(resource).iter().map(|it| self.held(it.held[resource]).charged());
        charged(parts, self.init_held(resource), self.overhead[resource])
    }

    /// What a quota on limits counts for the pod, in units of the resource: zero for a container without a limit.
    #[must_use]
    pub fn limits(&self, resource: Resource) -> u64 {
        let pod_level = self.pod_level.as_ref().and_then(|it| it.limit[resource]);
        let limits = pod_level.unwrap_or_else(|| {
            let regular = self.containers.iter().map(|it| it.limit[resource].unwrap_or_default());
            let init = self.init[resource].iter().zip(&self.init_limits[resource]);
            charged(regular, init.map(|(it, limit)| (limit.unwrap_or_default(), it.sidecar)), 0)
        });
        if limits == 0 { 0 } else { limits.saturating_add(self.overhead[resource]) }
    }

    /// What the pod was charged before any resize, given its template. Containers that are not in the template were injected; they
    /// count with their current requests.
    #[must_use]
    pub fn began_with(&self, template: &Template, resource: Resource) -> u64 {
        let parts = self.parts(resource).iter().map(|it| {
            let template = template.get(&it.name);
            template.map_or(it.held[resource].requested, |it| it.request[resource])
        });
        charged(parts, self.init_held(resource), self.overhead[resource])
    }

    /// What its containers request together, whatever the pod-level request.
    #[must_use]
    pub fn requested_inside(&self, resource: Resource) -> u64 {
        let regular = self.containers.iter().map(|it| it.held[resource].requested);
        let init = self.init[resource].iter().map(|it| (it.held.requested, it.sidecar));
        charged(regular, init, 0)
    }

    /// The part of a request that is charged: an infeasible resize stays in the spec but is not charged.
    pub(super) fn held(&self, held: Held) -> Held {
        match self.resize {
            Resize::Infeasible(_) => Held { requested: held.admitted, ..held },
            _ => held,
        }
    }

    /// The charge of each init container that counts, and whether it is a sidecar.
    fn init_held(&self, resource: Resource) -> impl Iterator<Item = (u64, bool)> {
        self.init_of(resource).iter().map(|init| (self.held(init.held).charged(), init.sidecar))
    }
}

impl Cluster {
    /// What a pod was charged before any resize, in units of the resource. Zero where its workload has not been seen.
    #[must_use]
    pub fn began_with(&self, pod: &Pod, resource: Resource) -> u64 {
        self.template(pod).map_or(0, |template| pod.began_with(template, resource))
    }

    /// What one more pod of a workload would be charged, in units of the resource: its template with the overhead of its
    /// RuntimeClass, or what its youngest pod began with, whichever is more. The pod shows what no template does: containers that
    /// webhooks or KubeVirt add.
    #[must_use]
    pub fn one_more(&self, owner: &Owner, workload: &Workload) -> PerResource<u64> {
        let pods = self.namespace(&owner.namespace).into_iter().flat_map(|it| it.own_pods(owner));
        let youngest = pods.max_by_key(|pod| (pod.created, &pod.name));
        let class = workload.written.as_ref().and_then(|it| it.runtime_class.as_deref());
        let added = class
            .and_then(|class| self.overhead(class).or_else(|| youngest.map(|pod| pod.overhead)));
        PerResource::from_fn(|resource| {
            let added = added.map_or(0, |it| it[resource]);
            let written = workload.charge[resource].saturating_add(added);
            let began =
                youngest.and_then(|pod| Some(pod.began_with(workload.template_of(pod)?, resource)));
            let began = began.unwrap_or_default();
            written.max(began)
        })
    }
}
