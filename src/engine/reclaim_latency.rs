//! How long members wait to get back what they own. Pure: the time is passed in.

use std::{collections::BTreeMap, time::Duration};

use crate::{api::WeightedShareStatus, share::Resource};

/// The members of a pool that hold less of their own than they are granted, and since when.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReclaimLatency(BTreeMap<(String, Resource), Duration>);

impl ReclaimLatency {
    /// Notes how the members stand now. Returns how long each of those waited that have it back.
    pub fn see(
        &mut self,
        status: &WeightedShareStatus,
        now: Duration,
    ) -> Vec<(Resource, Duration)> {
        let mut waiting = BTreeMap::new();
        for member in &status.members {
            for resource in Resource::ALL {
                let of =
                    |amounts: &crate::api::Resources| amounts.get(resource).unwrap_or_default();
                // What is borrowed is not owned.
                let own = of(&member.share).min(of(&member.fair));
                if of(&member.applied) < own {
                    let key = (member.name.clone(), resource);
                    let since = self.0.get(&key).copied().unwrap_or(now);
                    waiting.insert(key, since);
                }
            }
        }
        let before = std::mem::replace(&mut self.0, waiting);
        let is_there = |name: &str| status.members.iter().any(|it| it.name == name && it.pods > 0);
        let ended = before.into_iter().filter(|(key, _)| !self.0.contains_key(key));
        let paid = ended.filter(|((name, _), _)| is_there(name));
        paid.map(|((_, resource), since)| (resource, now.saturating_sub(since))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{MemberStatus, Resources},
        share::MilliCpu,
    };

    fn status(share: u64, applied: u64, pods: u32) -> WeightedShareStatus {
        let cpu = |milli| Resources { cpu: Some(MilliCpu(milli)), memory: None };
        let member = MemberStatus {
            name: "it".into(),
            pods,
            fair: cpu(500),
            share: cpu(share),
            applied: cpu(applied),
            ..MemberStatus::default()
        };
        WeightedShareStatus { members: vec![member], ..WeightedShareStatus::default() }
    }

    #[test]
    fn who_has_his_own_back_waited_since_it_was_granted() {
        let (mut owed, start) = (ReclaimLatency::default(), Duration::from_secs(60));
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(owed.see(&status(200, 200, 1), start).is_empty(), "it lends");
        assert!(owed.see(&status(500, 200, 1), after(10)).is_empty());
        assert!(owed.see(&status(500, 400, 1), after(12)).is_empty());
        let waited = vec![(Resource::Cpu, Duration::from_secs(5))];
        assert_eq!(owed.see(&status(500, 500, 1), after(15)), waited);
        assert!(owed.see(&status(500, 500, 1), after(20)).is_empty());
        assert!(owed.see(&status(900, 500, 1), after(25)).is_empty(), "it is to borrow");
        assert!(owed.see(&status(900, 500, 1), after(30)).is_empty());
    }

    #[test]
    fn who_is_gone_was_not_paid() {
        let (mut owed, start) = (ReclaimLatency::default(), Duration::from_secs(60));
        assert!(owed.see(&status(500, 200, 1), start).is_empty());
        assert!(owed.see(&status(0, 0, 0), start + Duration::from_secs(9)).is_empty());
    }
}
