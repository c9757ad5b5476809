//! One leader at a time, by a Lease: the process that wrote it last leads, and each write of it is on just the version that was
//! seen, so that two never hold it. What others wrote is only ever measured by our own clock, as the time since we saw
//! it change; the clocks of nodes need not agree. (The libraries for this either trusts other clocks, goes on leading
//! while it cannot renew, ends a new holder's lease with a forced release, or waits out a lease that was released.)

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    time::Duration,
};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tracing::{info, warn};

use super::Leadership;

/// What the lease is called.
pub const NAME: &str = "weighted-share";
/// How long one call for the lease may take.
const CALL: Duration = Duration::from_secs(5);

/// How long a lease is valid, and what follows from it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Terms(Duration);

impl Terms {
    /// Terms for a lease that others may take so many seconds after they saw it renewed last.
    #[must_use]
    pub fn of_seconds(seconds: u16) -> Self {
        Self(Duration::from_secs(u64::from(seconds)))
    }

    /// After this time without a renewal, others may take it.
    #[must_use]
    pub fn duration(self) -> Duration {
        self.0
    }

    /// After this time without a renewal, its holder writes no more. The rest is for what is on its way.
    #[must_use]
    pub fn lasts(self) -> Duration {
        self.0 * 2 / 3
    }

    /// How long its holder waits between two renewals.
    fn renew_every(self) -> Duration {
        self.0 * 2 / 15
    }

    /// How long others wait between two looks.
    fn look_every(self) -> Duration {
        self.0 / 15
    }
}

/// Why this process leads no more.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum Lost {
    /// Another process has the lease.
    #[error("the lease is lost: {0} leads now. This process exits; Kubernetes restarts it")]
    Taken(String),
    /// It could not be renewed in time.
    #[error(
        "the lease is lost: it could not be renewed for {} s ({why}). This process exits; Kubernetes restarts it", .after.as_secs()
    )]
    Lapsed {
        /// How long it had been valid.
        after: Duration,
        /// What the last attempt ran into.
        why: String,
    },
    /// The process that renewed it has ended.
    #[error(
        "the lease is no longer renewed, because its thread has ended. This process exits; Kubernetes restarts it"
    )]
    Abandoned,
}

/// What became of a renewal.
enum Renewal {
    Done,
    /// Another process has the lease.
    Taken(String),
    /// It is to be tried again.
    Unclear,
}

/// What was seen of the lease, and when.
#[derive(Debug)]
struct Seen {
    version: Option<String>,
    holder: String,
    /// When we saw it change last.
    at: Instant,
    /// How long its holder may rely on it, by the holder's own word.
    lasts: Duration,
}

/// The election of one process.
#[derive(Debug)]
pub struct Election {
    api: Api<Lease>,
    name: String,
    identity: String,
    terms: Terms,
    leadership: Leadership,
    seen: Option<Seen>,
    /// The lease as we wrote it last, and when that call began.
    held: Option<(Lease, Instant)>,
}

/// Who this process is to others: the pod's name, and something that no other process has, not even the one that ran
/// in the same pod before.
#[must_use]
pub fn identity(pod: &str) -> String {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    format!("{pod}_{:016x}", hasher.finish())
}

impl Election {
    /// An election for the lease of that name. The client must not be the guarded one: who does not lead yet writes it.
    #[must_use]
    pub fn new(
        client: Client,
        (namespace, name): (&str, &str),
        identity: String,
        terms: Terms,
        leadership: Leadership,
    ) -> Self {
        let api = Api::namespaced(client, namespace);
        Self { api, name: name.to_owned(), identity, terms, leadership, seen: None, held: None }
    }

    /// Waits until the lease is ours.
    pub async fn win(&mut self) {
        info!(identity = %self.identity, lease = %self.name, "standing by: waiting for the lease");
        let (mut holder, mut trouble) = (None, None);
        loop {
            let now = match timeout(CALL, self.take()).await {
                Ok(Ok(true)) => break,
                Ok(Ok(false)) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("no answer in time".to_owned()),
            };
            let told = self.seen.as_ref().map(|seen| seen.holder.clone());
            if told != holder {
                info!(holder = told.as_deref().unwrap_or_default(), "another process leads");
                holder = told;
            }
            if let Some(why) = now.as_deref().filter(|_| now != trouble) {
                warn!("the lease cannot be acquired, and is tried again: {why}");
            }
            trouble = now;
            sleep(self.terms.look_every()).await;
        }
        info!(identity = %self.identity, "this process leads");
    }

    /// Renews the lease for ever. Returns when it is lost.
    pub async fn hold(&mut self) -> Lost {
        let mut renewed = self.held.as_ref().map_or_else(Instant::now, |(_, at)| *at);
        loop {
            sleep_until(renewed + self.terms.renew_every()).await;
            let end = renewed + self.terms.lasts();
            let mut why = "there was no time left".to_owned();
            loop {
                let began = Instant::now();
                if began >= end {
                    return Lost::Lapsed { after: self.terms.lasts(), why };
                }
                match timeout_at(end.min(began + CALL), self.renew(began)).await {
                    Ok(Ok(Renewal::Done)) => {
                        renewed = began;
                        break;
                    }
                    Ok(Ok(Renewal::Taken(holder))) => return Lost::Taken(holder),
                    Ok(Ok(Renewal::Unclear)) => why = "it changed in the meantime".to_owned(),
                    Ok(Err(error)) => why = error.to_string(),
                    Err(_) => why = "no answer in time".to_owned(),
                }
                warn!("the lease could not be renewed: {why}");
                sleep_until(end.min(began + self.terms.renew_every())).await;
            }
        }
    }

    /// Gives the lease back, if it is ours, so that others need not wait for its end. Nothing may be written after.
    pub async fn release(&mut self) {
        if self.leadership.may_have_written() {
            info!(
                "the lease is not released, because a write got no answer: others wait until it expires"
            );
            return;
        }
        let freed = timeout(CALL, async {
            let Some(mut lease) = self.api.get_opt(&self.name).await? else { return Ok(()) };
            if holder(&lease) != self.identity {
                return Ok(());
            }
            let spec = lease.spec.get_or_insert_default();
            spec.holder_identity = None;
            spec.lease_duration_seconds = Some(1);
            spec.renew_time = Some(MicroTime(Timestamp::now()));
            self.api.replace(&self.name, &PostParams::default(), &lease).await.map(drop)
        });
        match freed.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                warn!(%error, "the lease is not released: others wait until it expires")
            }
            Err(_) => warn!("the lease is not released: others wait until it expires"),
        }
    }

    /// Takes the lease if it is free.
    async fn take(&mut self) -> Result<bool, kube::Error> {
        let found = self.api.get_opt(&self.name).await?;
        if let Some(lease) = &found {
            self.see(lease);
        }
        // If it was deleted while another process held it, that process may rely on it until its time is over.
        let held = |seen: &Seen| {
            let other = !seen.holder.is_empty() && seen.holder != self.identity;
            other && Instant::now() < seen.at + seen.lasts
        };
        if self.seen.as_ref().is_some_and(held) {
            return Ok(false);
        }
        let other = |seen: &&Seen| !seen.holder.is_empty() && seen.holder != self.identity;
        let before = self.seen.as_ref().filter(other).map(|seen| seen.at);
        let now = MicroTime(Timestamp::now());
        let (metadata, old) = found.map_or_else(
            || (ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() }, None),
            |lease| (lease.metadata, lease.spec),
        );
        let old = old.unwrap_or_default();
        let spec = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(self.seconds()),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(old.lease_transitions.unwrap_or(0).saturating_add(1)),
            ..old
        };
        let taken = self.write(Lease { metadata, spec: Some(spec) }, Instant::now()).await?;
        if let Some(renewed) = before.filter(|_| taken) {
            self.leadership.succeeds(renewed);
        }
        Ok(taken)
    }

    /// Renews the lease by a call that began then.
    async fn renew(&mut self, began: Instant) -> Result<Renewal, kube::Error> {
        // Where what was written last has no answer, or was refused, it may be ours all the same: that is looked up.
        if let Some((lease, _)) = self.held.take()
            && self.write(self.again(lease), began).await?
        {
            return Ok(Renewal::Done);
        }
        let renewed = match self.api.get_opt(&self.name).await? {
            Some(lease) if holder(&lease) != self.identity => {
                return Ok(Renewal::Taken(holder(&lease).to_owned()));
            }
            Some(lease) => self.write(self.again(lease), began).await?,
            // It was deleted. It is ours until another process has it.
            None => self.take().await?,
        };
        Ok(if renewed { Renewal::Done } else { Renewal::Unclear })
    }

    fn again(&self, mut lease: Lease) -> Lease {
        let spec = lease.spec.get_or_insert_default();
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        spec.lease_duration_seconds = Some(self.seconds());
        lease
    }

    /// Writes the lease on just the version that was seen, by a call that began then. False: another process wrote it.
    async fn write(&mut self, lease: Lease, began: Instant) -> Result<bool, kube::Error> {
        let params = PostParams::default();
        let answer = match lease.metadata.resource_version {
            Some(_) => self.api.replace(&self.name, &params, &lease).await,
            None => self.api.create(&params, &lease).await,
        };
        match answer {
            Ok(lease) => {
                self.held = Some((lease, began));
                self.leadership.renewed(began);
                Ok(true)
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Notes when the lease changed, by our own clock.
    fn see(&mut self, lease: &Lease) {
        let version = lease.metadata.resource_version.clone();
        if self.seen.as_ref().is_some_and(|seen| seen.version == version) {
            return;
        }
        let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
        let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let lasts = seconds.map_or(self.terms.duration(), Duration::from_secs);
        let (holder, at) = (holder(lease).to_owned(), Instant::now());
        self.seen = Some(Seen { version, holder, at, lasts });
    }

    fn seconds(&self) -> i32 {
        i32::try_from(self.terms.duration().as_secs()).unwrap_or(i32::MAX)
    }
}

fn holder(lease: &Lease) -> &str {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default()
}
