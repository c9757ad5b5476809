//! Pods that belong to no pool any more go back to what their templates say: shrinks first, grows where the node has
//! room for all of it. Pure.

use super::{
    in_use,
    moves::{Free, steps},
    quotas, weigh,
};
use crate::{
    actuate::PodResize,
    observe::{Pod, Snapshot, Template},
    share::{self, Holding, Play, Resource},
};

/// What it takes to put pods back to their templates.
#[derive(Debug, Default)]
pub struct Release {
    /// What may be sent now.
    pub resizes: Vec<PodResize>,
    /// Pods that are not back yet, each with what they wait for.
    pub waiting: Vec<(String, &'static str)>,
    /// Pods of which something cannot go back, each with the reason.
    pub stuck: Vec<(String, &'static str)>,
}

const NO_TEMPLATE: &str = "it has no controller whose template says what it started with";
const ADDED_LIMIT: &str = "a limit that was added stays for the life of the pod";
const NO_ROOM: &str = "no room for what its template asks";
const NOT_CONFIRMED: &str = "its node has not carried it out";
const NOT_STARTED: &str = "its node has not said yet what it holds";
const IN_USE: &str = "it uses more memory than its template's limit allows";

/// Puts the pods of a namespace that a resize of ours changed, and that no pool claims any more, back to what their
/// templates say.
#[must_use]
pub fn back_to_templates(snapshot: &Snapshot, namespace: &str, free: &Free) -> Release {
    let mut release = Release::default();
    let ours = |pod: &&Pod| Resource::ALL.iter().any(|&resource| pod.resized_by_us[resource]);
    let pods: Vec<&Pod> =
        weigh::unclaimed(snapshot, namespace).filter(|pod| !pod.terminating).filter(ours).collect();
    if pods.is_empty() {
        return release;
    }
    for &pod in &pods {
        match snapshot.template(pod) {
            None => release.stuck.push((pod.name.clone(), NO_TEMPLATE)),
            Some(template) if has_added_limit(pod, template) => {
                release.stuck.push((pod.name.clone(), ADDED_LIMIT));
            }
            Some(_) => {}
        }
    }
    for resource in Resource::ALL {
        let returning: Vec<(Return, Holding)> = pods
            .iter()
            .filter(|pod| pod.resized_by_us[resource])
            .filter_map(|&pod| Return::of(snapshot, pod, resource))
            .map(|back| {
                let play = Some(Play { weight: 1, ..Play::default() });
                let holding = back.pod.holding(resource, |_| play);
                (back, holding)
            })
            .collect();
        let standings = returning
            .iter()
            .map(|(back, holding)| (back.pod, holding, back.settled(holding).charge()));
        let quotas = quotas::rooms(snapshot, namespace, resource);
        let targets: Vec<u64> = standings.clone().map(|(_, _, target)| target).collect();
        let allowed = steps(standings, resource, u64::MAX, free, &quotas);
        for ((back, holding), (target, allowed)) in
            returning.iter().zip(targets.into_iter().zip(allowed))
        {
            let name = || back.pod.name.clone();
            if back.in_use {
                release.waiting.push((name(), IN_USE));
                continue;
            }
            let resize = PodResize::to(back.pod, resource, &back.requests, |i| back.limits[i]);
            let confirmed = holding.charge() == target;
            match resize {
                Some(_) if allowed != target => release.waiting.push((name(), NO_ROOM)),
                // Its node may have seen what it asked for first, so that is what it is charged; but it may have been
                // placed by what it asks for now.
                Some(resize)
                    if resize.grows() && back.pod.containers.iter().any(|it| it.unheard) =>
                {
                    release.waiting.push((name(), NOT_STARTED));
                }
                Some(resize) => {
                    release.waiting.push((name(), NOT_CONFIRMED));
                    release.resizes.push(resize);
                }
                None if !confirmed => release.waiting.push((name(), NOT_CONFIRMED)),
                None => {}
            }
        }
    }
    release
}

/// One resource of a pod on its way back.
struct Return<'a> {
    pod: &'a Pod,
    /// What the template says for each regular container; one that it does not know keeps its own.
    requests: Vec<u64>,
    /// The limits in the template.
    limits: Vec<Option<u64>>,
    /// Its limit would go under the memory that it uses.
    in_use: bool,
}

impl<'a> Return<'a> {
    fn of(snapshot: &Snapshot, pod: &'a Pod, resource: Resource) -> Option<Self> {
        let template = snapshot.template(pod)?;
        let containers = || pod.containers.iter().map(|it| (it, template.get(&it.name)));
        let request = containers().map(|(now, template)| {
            template.map_or(now.held[resource].requested, |template| template.request[resource])
        });
        let limit = containers().map(|(now, template)| {
            let (template, now) = (template?, now.limit[resource]);
            // An added limit stays. It is not to be under the request, nor meet it: the pod's class would change.
            let least = template.request[resource].saturating_add(1);
            template.limit[resource].or(now.filter(|now| *now < least).map(|_| least))
        });
        let used = in_use::safe(snapshot, pod).filter(|_| resource == Resource::Memory);
        let lowers = containers().any(|(now, template)| {
            let limit = template.and_then(|template| template.limit[resource]);
            limit.zip(used).is_some_and(|(limit, used)| {
                limit < used && now.limit[resource].is_some_and(|now| limit < now)
            })
        });
        Some(Self { pod, requests: request.collect(), limits: limit.collect(), in_use: lowers })
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

/// Whether a container has a limit that a resize of ours added to what its template says.
fn has_added_limit(pod: &Pod, template: &Template) -> bool {
    pod.containers.iter().any(|container| {
        Resource::ALL.iter().any(|&resource| {
            let template = template.get(&container.name);
            pod.limited_by_us[resource]
                && container.limit[resource].is_some()
                && template.is_some_and(|template| template.limit[resource].is_none())
        })
    })
}
