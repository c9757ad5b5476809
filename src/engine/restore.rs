//! Pods that belong to no pool any more are restored to what their templates say: shrinks first, grows where the node has
//! room for all of it.

use super::{
    View, memory_floor,
    pacing::{Ledger, steps},
    quotas,
    resize::PodResize,
};
use crate::{
    cluster::{Pod, Template},
    share::{self, AdjustableRange, Holding, Resource},
};

/// What it takes to restore the pods of a namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restore {
    /// What may be sent now.
    pub resizes: Vec<PodResize>,
    /// Pods that are not restored yet, each with what they wait for.
    pub waiting: Vec<(String, &'static str)>,
    /// Pods of which something cannot be restored, each with the reason.
    pub stuck: Vec<(String, &'static str)>,
}

const NO_TEMPLATE: &str = "it has no controller with a template to restore it to";
const ADDED_LIMIT: &str = "a limit that was added to it cannot be removed while it runs";
const NO_ROOM: &str = "there is no room for its template's requests";
const NOT_CONFIRMED: &str = "its node has not carried out the resize";
const NOT_STARTED: &str = "its node has not reported yet what it holds";
const IN_USE: &str = "it uses more memory than its template's limit allows";
const NOT_MEASURED: &str =
    "its memory limit would go down, and no recent measurement shows what it uses";

/// Whether a resize of ours changed the pod, or it started with less than its template says.
#[must_use]
pub fn is_changed(pod: &Pod) -> bool {
    !pod.terminating && Resource::ALL.iter().any(|&resource| pod.resized_by_us[resource])
}

/// Restores the pods of a namespace that we changed and that no pool claims any more. The room is promised.
#[must_use]
pub fn restore(view: &View, namespace: &str, pods: &[&Pod], ledger: &mut Ledger) -> Restore {
    let mut restore = Restore::default();
    for &pod in pods {
        match view.cluster.template(pod) {
            None => restore.stuck.push((pod.name.clone(), NO_TEMPLATE)),
            Some(template) if has_added_limit(pod, template) => {
                restore.stuck.push((pod.name.clone(), ADDED_LIMIT));
            }
            Some(_) => {}
        }
    }
    for resource in Resource::ALL {
        let returning: Vec<(Return, Holding)> = pods
            .iter()
            .filter(|pod| pod.resized_by_us[resource])
            .filter_map(|&pod| Return::of(view, pod, resource))
            .map(|back| {
                let range = Some(AdjustableRange { weight: 1, ..AdjustableRange::default() });
                let holding = back.pod.holding(resource, |_| range);
                (back, holding)
            })
            .collect();
        let positions = returning
            .iter()
            .map(|(back, holding)| (back.pod, holding, back.settled(holding).charge()));
        let quotas = quotas::rooms(view, namespace, resource);
        let allowed = steps(positions, resource, u64::MAX, ledger, &quotas);
        for ((back, holding), allowed) in returning.iter().zip(allowed) {
            let name = || back.pod.name.clone();
            match back.step(holding, resource, allowed) {
                Step::Done => {}
                Step::Waits(why) => restore.waiting.push((name(), why)),
                Step::Resize(resize) => {
                    let grows = allowed.saturating_sub(holding.charge());
                    ledger.promise_to(back.pod, holding, resource, &quotas, grows);
                    restore.waiting.push((name(), NOT_CONFIRMED));
                    restore.resizes.push(resize);
                }
            }
        }
    }
    restore
}

/// What is to be done for a pod now.
enum Step {
    /// It holds what its template says.
    Done,
    /// Nothing, until that has passed.
    Waits(&'static str),
    /// It is resized.
    Resize(PodResize),
}

/// One resource of a pod on its way back.
struct Return<'a> {
    pod: &'a Pod,
    /// What the template says for each regular container; one that it does not know keeps its own.
    requests: Vec<u64>,
    /// The limits in the template.
    limits: Vec<Option<u64>>,
    /// Why its memory limit cannot go back now: in use, or not known to be free.
    held_back: Option<&'static str>,
}

impl<'a> Return<'a> {
    fn of(view: &View, pod: &'a Pod, resource: Resource) -> Option<Self> {
        let template = view.cluster.template(pod)?;
        let containers = || pod.parts(resource).iter().map(|it| (it, template.get(&it.name)));
        let request = containers().map(|(now, template)| {
            template.map_or(now.held[resource].requested, |template| template.request[resource])
        });
        let limit = containers().map(|(now, template)| {
            let (template, now) = (template?, now.limit[resource]);
            // An added limit stays. It is not to be under the request, nor meet it: the pod's class would change.
            let least = template.request[resource].saturating_add(1);
            template.limit[resource].or(now.filter(|now| *now < least).map(|_| least))
        });
        let lowered = containers().filter_map(|(now, template)| {
            let limit = template?.limit[resource]?;
            now.limit[resource].is_some_and(|now| limit < now).then_some(limit)
        });
        let lowered = lowered.filter(|_| resource == Resource::Memory).min();
        let held_back = lowered.and_then(|limit| hindrance(view, pod, limit));
        Some(Self { pod, requests: request.collect(), limits: limit.collect(), held_back })
    }

    /// What is to be done for it now, where it may be charged `allowed`.
    fn step(&self, holding: &Holding, resource: Resource, allowed: u64) -> Step {
        let target = self.settled(holding).charge();
        if let Some(why) = self.held_back {
            return Step::Waits(why);
        }
        if self.pod.in_flight {
            // It is charged all that it may have been sent, whether that arrived or not.
            return Step::Waits(NOT_CONFIRMED);
        }
        match PodResize::to(self.pod, resource, &self.requests, |i| self.limits[i]) {
            Some(_) if allowed != target => Step::Waits(NO_ROOM),
            // Its node may have seen what it asked for first, so that is what it is charged; but it may have been placed
            // by what it asks for now.
            Some(resize)
                if resize.grows() && self.pod.parts(resource).iter().any(|it| it.unheard) =>
            {
                Step::Waits(NOT_STARTED)
            }
            Some(resize) => Step::Resize(resize),
            None if holding.charge() != target => Step::Waits(NOT_CONFIRMED),
            None => Step::Done,
        }
    }

    /// What it holds once it is back.
    fn settled(&self, holding: &Holding) -> Holding {
        let containers = holding.containers.iter().zip(&self.requests);
        let settled = containers.map(|(container, &to)| share::Container {
            held: share::Held { requested: to, admitted: to },
            ..*container
        });
        Holding { containers: settled.collect(), ..holding.clone() }
    }
}

/// What keeps the memory limit of a pod from going down to `limit`, in bytes.
fn hindrance(view: &View, pod: &Pod, limit: u64) -> Option<&'static str> {
    let measured = view.measured(pod).filter(|it| it.is_fresh);
    let Some(measured) = measured else { return Some(NOT_MEASURED) };
    (limit < memory_floor::safe(&measured)).then_some(IN_USE)
}

/// Whether a container has a limit that a resize of ours added to what its template says.
fn has_added_limit(pod: &Pod, template: &Template) -> bool {
    Resource::ALL.iter().any(|&resource| {
        pod.parts(resource).iter().any(|container| {
            let template = template.get(&container.name);
            pod.limited_by_us[resource]
                && container.limit[resource].is_some()
                && template.is_some_and(|template| template.limit[resource].is_none())
        })
    })
}
