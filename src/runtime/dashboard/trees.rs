//! The trees on the page. Pure.

use kube::ResourceExt;
use maud::{Markup, html};

use super::view::{Held, bar_of, conditions, counted, held, of};
use crate::{
    api::{ClusterWeightedShare, ClusterWeightedShareStatus, condition},
    share::Resource,
};

/// A card for a ClusterWeightedShare, with a line for each of its members.
pub(super) fn card(tree: &ClusterWeightedShare) -> Markup {
    html! {
        section.card {
            div.row {
                h3 { (tree.name_any()) }
                span.soft { (counted(tree.spec.members.len(), "member")) }
            }
            @match &tree.status {
                None => p.news { "Not divided yet." },
                Some(status) => (divided(status)),
            }
        }
    }
}

fn divided(status: &ClusterWeightedShareStatus) -> Markup {
    let ClusterWeightedShareStatus { capacity, allocated, lent, .. } = status;
    let all = Held { capacity, allocated, lent };
    let resources = || Resource::ALL.into_iter().filter(|&it| capacity.get(it).is_some());
    html! {
        p { (conditions(&status.conditions)) }
        @for condition in status.conditions.iter().filter(|it| condition::is_news(it)) {
            p.news { (condition.reason) ": " (condition.message) }
        }
        @for resource in resources() {
            (held(&all, resource))
            (bar_of(
                of(capacity, resource),
                status.members.iter().map(|it| (&*it.name, of(&it.share, resource))),
                resource,
            ))
        }
        ul {
            @for member in &status.members {
                li {
                    strong { (member.name) }
                    " · weight " (member.effective_weight) " · " (counted(member.pods as usize, "pod"))
                    @for resource in resources() {
                        " · " (resource) " " (resource.readable(of(&member.share, resource)))
                        " of " (resource.readable(of(&member.fair, resource))) " owned"
                    }
                    @if !member.message.is_empty() { " · " span.news { (member.message) } }
                }
            }
        }
    }
}
