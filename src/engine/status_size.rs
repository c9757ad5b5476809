//! Keeps the status of a pool small. etcd stores objects of at most 1.5 MiB, and the spec and the managed fields count, too.

use crate::api::{LONGEST_MESSAGE, MOST_RECOMMENDATIONS_IN_POOL, WeightedShareStatus};

/// What a message that was cut ends with.
const CUT: &str = "...";

/// The status with its long messages cut, and with as many recommendations as a pool may have.
///
/// Webhooks, kubelets, Prometheus and KubeVirt write parts of messages, at any length.
#[must_use]
pub fn bounded(mut status: WeightedShareStatus) -> WeightedShareStatus {
    status.conditions.iter_mut().for_each(|condition| cut(&mut condition.message));
    let mut left = MOST_RECOMMENDATIONS_IN_POOL;
    for member in &mut status.members {
        cut(&mut member.message);
        member.recommendations.truncate(left);
        left -= member.recommendations.len();
        member.recommendations.iter_mut().for_each(|it| cut(&mut it.message));
    }
    status
}

/// Cuts a message that is too long, between two characters.
fn cut(message: &mut String) {
    if message.len() > LONGEST_MESSAGE {
        message.truncate(message.floor_char_boundary(LONGEST_MESSAGE - CUT.len()));
        message.push_str(CUT);
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{
        apimachinery::pkg::apis::meta::v1::{Condition, Time},
        jiff::Timestamp,
    };

    use super::*;
    use crate::{
        api::{
            DynamicWeightStatus, MOST_RECOMMENDATIONS, MemberState, MemberStatus, Recommendation,
            Resources,
        },
        share::{Bytes, MilliCpu},
    };

    /// As Kubernetes bounds them.
    const LONGEST_NAME: usize = 253;

    /// A sentence of a webhook that says more than anyone reads.
    fn sentence() -> String {
        "Pod checkout-7f9c: admission webhook \"limits.example.com\" denied the request. "
            .repeat(100)
    }

    fn recommendation(number: usize) -> Recommendation {
        let name = format!("{number:0LONGEST_NAME$}");
        Recommendation {
            virtual_machine: name.clone(),
            cpu_sockets: Some(u64::MAX),
            guest_memory: Some(Bytes(u64::MAX)),
            node: Some(name.clone()),
            message: sentence(),
            manifest: format!("kind: VirtualMachine\nmetadata: {{name: {name}}}\n").repeat(2),
        }
    }

    fn member(number: usize) -> MemberStatus {
        // The longest that amounts are written.
        let most = Resources { cpu: Some(MilliCpu(u64::MAX)), memory: Some(Bytes(u64::MAX)) };
        MemberStatus {
            name: format!("{number:063}"),
            weight: 10_000,
            effective_weight: u64::MAX,
            dynamic_weight: Some(DynamicWeightStatus {
                weight: 10_000,
                // All of them at once, each longer than any is.
                signals: "memory.demand 1023.99Mi, ".repeat(15),
            }),
            pods: u32::MAX,
            demand: most,
            fair: most,
            share: most,
            applied: most,
            unplaceable: most,
            cpu_shares: Some(u64::MAX),
            cpu_weight: Some(u64::MAX),
            recommendations: (0..MOST_RECOMMENDATIONS).map(recommendation).collect(),
            state: Some(MemberState::Infeasible),
            reason: "VerticalPodAutoscaler".into(),
            message: sentence(),
        }
    }

    fn largest() -> WeightedShareStatus {
        let condition = |number: usize| Condition {
            type_: format!("Condition{number}"),
            status: "Unknown".into(),
            reason: "VerticalPodAutoscaler".into(),
            message: sentence(),
            observed_generation: Some(i64::MAX),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        };
        WeightedShareStatus {
            observed_generation: Some(i64::MAX),
            conditions: (0..7).map(condition).collect(),
            member_count: Some(256),
            members: (0..256).map(member).collect(),
            ..WeightedShareStatus::default()
        }
    }

    #[test]
    fn the_status_of_256_members_stays_under_a_mebibyte() {
        let size = |status: &WeightedShareStatus| serde_json::to_vec(status).unwrap().len();
        assert!(size(&largest()) > 4 << 20, "nothing has to be cut");
        let bounded = bounded(largest());
        assert_eq!(bounded.members.len(), 256);
        assert!(size(&bounded) < 1 << 20, "{} bytes", size(&bounded));
        let of = |member: &MemberStatus| member.recommendations.len();
        assert_eq!(bounded.members.iter().map(of).sum::<usize>(), MOST_RECOMMENDATIONS_IN_POOL);
        assert_eq!((of(&bounded.members[15]), of(&bounded.members[16])), (8, 0));
    }

    #[test]
    fn what_is_short_enough_stays_as_it_is() {
        let cut = |text: &str| {
            let mut text = text.to_owned();
            super::cut(&mut text);
            text
        };
        let full = "x".repeat(LONGEST_MESSAGE);
        assert_eq!(cut(&full), full);
        let longer = cut(&format!("{full}x"));
        assert_eq!((longer.len(), longer.trim_end_matches('.').len()), (1024, 1021));
        // In the middle of a character is no place to cut.
        let wide = cut(&"ü".repeat(LONGEST_MESSAGE));
        assert_eq!(wide, format!("{}...", "ü".repeat(510)));
    }
}
