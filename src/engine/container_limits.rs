//! What becomes of a container's limit when its request moves: as its member's `limitPolicy` says, and never so that the
//! pod's class changes. Pure.

use crate::{
    api::LimitPolicy,
    cluster::{Container, Pod, Qos, Template},
    share::{LimitRule, PerResource, Resource},
};

/// The container whose request stays under its limit. Were every request of a Burstable pod to meet its limit, the pod
/// would be Guaranteed, and Kubernetes refuses a resize that changes the class.
#[derive(Debug, Default)]
pub struct Apart<'a>(Option<&'a str>);

impl<'a> Apart<'a> {
    /// Finds it. Containers that are left `alone` can be none.
    #[must_use]
    pub fn of(
        pod: &'a Pod,
        policy: LimitPolicy,
        resource: Resource,
        divided: PerResource<bool>,
        alone: impl Fn(&Container) -> bool,
    ) -> Self {
        // Whether each container has a limit of it, or is given one.
        let limited = |of: Resource| {
            let capped = |container: &Container| {
                policy == LimitPolicy::Cap && divided[of] && !(of == resource && alone(container))
            };
            let has = |container: &Container| container.limit[of].is_some() || capped(container);
            // Pod-level resources alone decide the class.
            match &pod.pod_level {
                Some(part) => has(part),
                None => pod.inits_are_limited(of) && pod.containers.iter().all(has),
            }
        };
        if pod.qos != Qos::Burstable || !Resource::ALL.iter().all(|&of| limited(of)) {
            return Self(None);
        }
        let moves = pod.parts(resource).iter().find(|container| !alone(container));
        Self(moves.map(|container| container.name.as_str()))
    }

    /// Whether it is this one.
    #[must_use]
    pub fn is(&self, container: &Container) -> bool {
        self.0 == Some(container.name.as_str())
    }
}

/// What becomes of the container's limit.
#[must_use]
pub fn rule(
    qos: Qos,
    policy: LimitPolicy,
    container: &Container,
    template: Option<&Template>,
    resource: Resource,
    apart: &Apart,
) -> LimitRule {
    match policy {
        _ if qos == Qos::Guaranteed => LimitRule::Above(0),
        LimitPolicy::Keep => LimitRule::Keep,
        LimitPolicy::Cap => LimitRule::Above(u64::from(apart.is(container))),
        LimitPolicy::Ratio => ratio(container, template, resource),
    }
}

/// As the limit is to the request in the template. Of a pod without one it is not known what it was: a limit that goes down in
/// steps has another ratio after each.
fn ratio(container: &Container, template: Option<&Template>, resource: Resource) -> LimitRule {
    let template = template.and_then(|template| template.get(&container.name));
    let known = template.and_then(|it| Some((it.limit[resource]?, it.request[resource])));
    match known.filter(|_| container.limit[resource].is_some()) {
        // There is no ratio to nothing.
        None | Some((_, 0)) => LimitRule::Keep,
        Some((limit, request)) => LimitRule::Ratio { limit, request },
    }
}
