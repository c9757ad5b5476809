//! Why a member has what it has, in words. Pure.

use crate::{
    api::{MemberStatus, Mode, Resources, WeightedShare},
    share::Resource,
};

/// One sentence for each thing that can be said.
pub fn why(pool: &WeightedShare, member: &MemberStatus) -> Vec<String> {
    let mut sentences = Vec::new();
    let status = pool.status.as_ref();
    // The part of who has no pods is shared by the others.
    let with_pods = status.iter().flat_map(|it| &it.members).filter(|it| it.pods > 0);
    let weights: u64 = with_pods.map(|it| it.effective_weight).sum();
    let capacity = status.map(|status| status.capacity).unwrap_or_default();
    if let Some(dynamic) = &member.dynamic_weight {
        let looked = match dynamic.signals.as_str() {
            "" => String::new(),
            signals => format!(", from {signals}"),
        };
        sentences.push(format!(
            "Its computed weight is {} instead of {}{looked}.",
            dynamic.weight, member.weight
        ));
    }
    for resource in Resource::ALL.into_iter().filter(|&it| capacity.get(it).is_some()) {
        sentences.extend(of_resource(member, resource, weights));
    }
    if pool.spec.mode == Mode::Observe {
        sentences.push("The pool is in mode Observe: none of this is carried out.".to_owned());
    }
    if !member.message.is_empty() {
        sentences.push(format!("{}: {}", member.reason, member.message));
    }
    sentences
}

fn of_resource(member: &MemberStatus, resource: Resource, weights: u64) -> Vec<String> {
    let of = |amounts: &Resources| amounts.get(resource).unwrap_or_default();
    let amount = |amount| resource.readable(amount);
    let (fair, share, applied) = (of(&member.fair), of(&member.share), of(&member.applied));
    if member.pods == 0 {
        return Vec::new();
    }
    let mut sentences = vec![format!(
        "It owns {} of {resource}, by weight {} of {weights} and within its bounds.",
        amount(fair),
        member.effective_weight
    )];
    if share < fair {
        sentences.push(format!(
            "{} of that is idle: others may use it until this member needs it.",
            amount(fair - share)
        ));
    } else if share > fair {
        sentences
            .push(format!("It borrows {} of idle {resource} from others.", amount(share - fair)));
    }
    if applied != share {
        sentences.push(format!("Its pods hold {} now.", amount(applied)));
    }
    sentences
}
