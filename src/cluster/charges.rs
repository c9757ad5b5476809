//! What Kubernetes charges a pod for: one rule, for pods that run, for what they began with, and for pods that are to come.
//!
//! The rule is that of `PodRequests` in Kubernetes' component-helpers, which the scheduler, the kubelet and quotas share: the
//! regular containers with the sidecars, or the init container that needs the most, whichever is more; in the place of these, what
//! is asked for the pod as a whole; and the overhead.

use super::{Cluster, Owner, Pod, Resize, Template, Workload};
use crate::share::{Held, PerResource, Resource, charged};

impl Pod {
    /// What it is charged, in units of the resource.
    #[must_use]
    pub fn charge(&self, resource: Resource) -> u64 {
        let parts = self.parts(resource).iter().map(|it| self.held(it.held[resource]).charged());
        charged(parts, self.init_held(resource), self.overhead[resource])
    }

    /// What its limits count for in a quota, in units of the resource: what has no limit counts nothing.
    #[must_use]
    pub fn limits(&self, resource: Resource) -> u64 {
        let whole = self.whole.as_ref().and_then(|whole| whole.limit[resource]);
        let limits = whole.unwrap_or_else(|| {
            let regular = self.containers.iter().map(|it| it.limit[resource].unwrap_or_default());
            let init = self.init[resource].iter().zip(&self.init_limits[resource]);
            charged(regular, init.map(|(it, limit)| (limit.unwrap_or_default(), it.sidecar)), 0)
        });
        if limits == 0 { 0 } else { limits.saturating_add(self.overhead[resource]) }
    }

    /// What it was charged before anybody resized it, where its template asks for this: containers that the template does not
    /// know were injected, and count with what they ask for.
    #[must_use]
    pub fn began_with(&self, template: &Template, resource: Resource) -> u64 {
        let parts = self.parts(resource).iter().map(|it| {
            let template = template.get(&it.name);
            template.map_or(it.held[resource].requested, |it| it.request[resource])
        });
        charged(parts, self.init_held(resource), self.overhead[resource])
    }

    /// What its containers request together, whatever is set for the whole.
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

    /// What each init container is charged that counts, and whether it is a sidecar.
    fn init_held(&self, resource: Resource) -> impl Iterator<Item = (u64, bool)> {
        self.init_of(resource).iter().map(|init| (self.held(init.held).charged(), init.sidecar))
    }
}

impl Cluster {
    /// What a pod was charged before anybody resized it, in units of the resource. Nothing, where its workload was not seen.
    #[must_use]
    pub fn began_with(&self, pod: &Pod, resource: Resource) -> u64 {
        self.template(pod).map_or(0, |template| pod.began_with(template, resource))
    }

    /// What one more pod of a workload would be charged, in units of the resource: what its template asks for and its
    /// RuntimeClass adds, or what its youngest pod began with, whichever is more. Webhooks inject containers, and KubeVirt makes
    /// pods of which no template tells all.
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
            let began = youngest.map_or(0, |pod| pod.began_with(&workload.template, resource));
            written.max(began)
        })
    }
}
