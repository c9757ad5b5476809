//! One turn for one pool: observe -> weigh -> divide -> actuate -> report. Only the first and the last two stages
//! talk to the API server; what is between is decided from one snapshot.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
    runtime::controller::Action,
};
use serde_json::json;
use tokio::time::Instant;
use tracing::{Instrument, debug_span, info, warn};

use super::{
    Context, Error, Memories, admission, calm,
    divide::divide,
    events::{self, Notice},
    moves, recommend,
    release::{self, Release},
    report,
    shares::Divided,
    standing::{Outcome, describe},
    update::update,
    weigh::weigh,
};
use crate::{
    actuate::{self, PodResize, RefusalKind},
    api::{Mode, NewPods, NewPodsSpec, WeightedShare},
    observe::{FIELD_MANAGER, Guarded, Snapshot},
    share::Divider,
};

/// What keeps a pool from vanishing before its pods are back at their templates.
const FINALIZER: &str = "weightedshare.dev/release";
/// How long a deleted pool waits for pods to go back.
const RELEASE: Duration = Duration::from_secs(60);
/// How long it waits besides for the API server to take the event that says which did not.
const TELLING: Duration = Duration::from_secs(60);
/// How many resizes are on their way to the API server at once.
const RESIZES_AT_ONCE: usize = 8;
/// How soon a pool is looked at again on its own: at once, while something waits for room; soon, while a node is full
/// that pods of other namespaces may leave; else now and then.
const SOON: Duration = Duration::from_secs(1);
const WAITING: Duration = Duration::from_secs(5);
const CROWDED: Duration = Duration::from_secs(10);
const SETTLED: Duration = Duration::from_secs(300);

/// Takes one turn for one pool.
///
/// # Errors
/// When the object cannot be read, the API server fails, or resizes were refused.
pub async fn reconcile(pool: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    context.world.ready().await?;
    let answers = context.world.find_out(&context.client).await;
    answers.map_err(|source| Error::Api { what: "tell how a resize ended for", source })?;
    let pool = match &pool.0 {
        Ok(pool) => pool,
        // One that cannot be read can be deleted all the same.
        Err(invalid) if invalid.metadata.deletion_timestamp.is_some() => {
            let metadata = invalid.metadata.clone();
            return release(&WeightedShare { metadata, ..WeightedShare::default() }, &context)
                .await;
        }
        Err(invalid) => return Err(Error::Unreadable(invalid.error.clone())),
    };
    if pool.metadata.deletion_timestamp.is_some() {
        return release(pool, &context).await;
    }

    let now = context.clock.now();
    let mut snapshot = debug_span!("observe").in_scope(|| context.world.snapshot(now));
    {
        let mut setbacks = context.setbacks();
        setbacks.see(&snapshot.pods, now);
        setbacks.mark(&mut snapshot.pods, now);
    }
    snapshot.contested = context.contests().left(&snapshot, now);
    snapshot.wanted = context.waits().room(&snapshot, now);
    let namespace = pool.namespace().unwrap_or_default();
    let there = |other: &WeightedShare| other.namespace().as_ref() == Some(&namespace);
    let same = |other: &WeightedShare| there(other) && other.name_any() == pool.name_any();
    let Some(place) = snapshot.pools.iter().position(same) else {
        // It was deleted meanwhile: the watch brings it again.
        return Ok(Action::await_change());
    };
    let uid = pool.uid().unwrap_or_default();
    let shown = snapshot.pools[place].status.clone();
    if let Some(known) = context.memories().get_mut(&uid) {
        // Until the watch has caught up, the answer stands in for the cache.
        known.told.take_if(|told| shown.as_ref() == Some(told));
        if let Some(told) = &known.told {
            snapshot.pools[place].status = Some(told.clone());
        }
    }
    snapshot.granted = context.granted(&snapshot.pools);
    let mut weighed = debug_span!("weigh").in_scope(|| weigh(&snapshot));
    let (divided, decided) = {
        let _span = debug_span!("divide").entered();
        let mut memories = context.memories();
        let Memories { weights, grants, .. } = memories.entry(uid.clone()).or_default();
        update(&snapshot, &mut weighed[place], weights, now);
        let mut divided = divide(&snapshot, &weighed, &mut Divider::default()).swap_remove(place);
        let usage = &snapshot.signals.usage;
        let decided = calm::decide(&weighed[place], &mut divided, usage, grants, now);
        (divided, decided)
    };
    let (pool, weighed) = (&snapshot.pools[place], &weighed[place]);
    let divided = &divided;
    let held = pool.spec.mode != Mode::Auto || pool.finalizers().iter().any(|it| it == FINALIZER);
    // What nobody could put back is not moved. It is decided all the same: what the other pools own beside it would else
    // go up and down with what it has not given up yet.
    if !held && !set_finalizers(pool, &context.client, true).await? {
        return Ok(Action::requeue(SOON));
    }
    let mut outcome = Outcome::default();
    let mut free = snapshot.free();
    let still = weighed.stands_still();
    if pool.spec.mode == Mode::Auto {
        let resizes = if still { Vec::new() } else { moves::towards_shares(divided, &free) };
        moves::take(&mut free, &snapshot, &resizes);
        let span = debug_span!("actuate", resizes = resizes.len());
        outcome = actuate(&context, pool, &snapshot, resizes, now).instrument(span).await;
        context.contests().sent(&outcome.sent, &snapshot);
    }
    // Pods that left all pools go back, at the hands of the oldest pool of their namespace.
    if snapshot.pools.iter().position(there) == Some(place) {
        let returned = release::back_to_templates(&snapshot, &namespace, &free).resizes;
        actuate(&context, pool, &snapshot, returned, now).await;
    }

    let status = report::status(weighed, divided, &outcome, &snapshot, decided, Time(now));
    if let Some(memories) = context.memories().get_mut(&uid) {
        for (resource, waited) in memories.owed.see(&status, Instant::now()) {
            context.serving.metrics.taken_back(resource, waited);
        }
    }
    let used: Vec<_> = weighed.members.iter().map(|member| member.used(&snapshot)).collect();
    context.serving.page.saw(&uid, &status, &used, now);
    if shown.as_ref() != Some(&status) {
        let notices = events::notices(pool.status.as_ref(), &status, weighed, &outcome);
        let patch = json!({
            "apiVersion": "weightedshare.dev/v1alpha1",
            "kind": "WeightedShare",
            "status": &status,
        });
        let answer = api(pool, &context.client)
            .patch_status(
                &pool.name_any(),
                &PatchParams::apply(FIELD_MANAGER).force(),
                &Patch::Apply(patch),
            )
            .instrument(debug_span!("report"))
            .await
            .map_err(|source| Error::Api { what: "take the status of", source })?;
        if let Some(memories) = context.memories().get_mut(&uid) {
            // As the API server shows it: it keeps whole seconds.
            memories.told = answer.status;
        }
        events::publish(&context.client, &context.clock, pool, notices).await;
    }
    let before = context.memories().get(&uid).and_then(|memories| memories.new_pods.clone());
    let new_pods = match before.clone() {
        // Until it is known whose all pods are, what was told before stands.
        before if still => before,
        // It follows from what is owned, which only a decision moves.
        Some(before) if !decided => Some(before),
        _ => Some(admission::new_pods(&snapshot, weighed, before.as_ref(), decided)),
    };
    if let Some(new_pods) = new_pods.as_ref().filter(|&now| before.as_ref() != Some(now)) {
        tell_new_pods(pool, &context.client, new_pods).await?;
    }
    if let Some(memories) = context.memories().get_mut(&uid) {
        memories.grants.told();
        memories.new_pods = new_pods;
    }
    if let Some(plug) = recommend::next(&snapshot, weighed, divided, now)
        && context.may_plug()
    {
        info!(pool = %pool.name_any(), namespace = %plug.namespace, machine = %plug.machine, what = ?plug.what, "more for a machine");
        let what = "give more to a VirtualMachine (is liveUpdate.enabled set in the chart?) of";
        let done = actuate::plug(&context.client, &plug).await;
        done.map_err(|source| Error::Api { what, source })?;
    }

    let mut unheard =
        outcome.refused.iter().filter(|refusal| refusal.kind == RefusalKind::Unreachable);
    if let Some(first) = unheard.next() {
        return Err(Error::Unreachable { count: 1 + unheard.count(), first: first.to_string() });
    }
    let ready = status.conditions.iter().any(|it| it.type_ == "Ready" && it.status == "True");
    let crowded = [&divided.cpu, &divided.memory].into_iter().flatten().any(Divided::is_crowded);
    context.settled(pool);
    let outdated = outcome.refused.iter().any(|it| it.kind == RefusalKind::Outdated);
    let pods = weighed.members.iter().flat_map(|member| &member.pods).copied();
    let in_motion = [&divided.cpu, &divided.memory].into_iter().flatten().any(|it| it.frees_room);
    let wait = match context.setbacks().next(pods, now) {
        _ if outdated || still => SOON,
        Some(_) if in_motion => WAITING,
        Some(retry) => WAITING.max(until(retry, now)).min(SETTLED),
        None if !ready => WAITING,
        None if crowded || !snapshot.wanted.is_empty() => CROWDED,
        None => SETTLED,
    };
    Ok(Action::requeue(wait))
}

fn until(then: Timestamp, now: Timestamp) -> Duration {
    then.duration_since(now).try_into().unwrap_or_default()
}

/// Sends the resizes, those of one pod one after the other, and remembers the answers. Those that were refused before
/// wait for their time.
async fn actuate(
    context: &Context,
    pool: &WeightedShare,
    snapshot: &Snapshot,
    resizes: Vec<PodResize>,
    now: Timestamp,
) -> Outcome {
    let (resizes, held_back) = context.setbacks().hold_back(resizes, now);
    let asked = resizes.clone();
    let mut outcome = Outcome::default();
    let mut answers = stream::iter(shrinks_first(resizes))
        .map(|of_pod| send_in_turn(context, snapshot, of_pod))
        .buffer_unordered(RESIZES_AT_ONCE);
    while let Some((sent, refused)) = answers.next().await {
        for resize in &sent {
            info!(pool = %pool.name_any(), namespace = %resize.namespace, pod = %resize.pod, "{}", describe(resize));
        }
        outcome.sent.extend(sent);
        if let Some(refusal) = refused {
            if refusal.kind != RefusalKind::Outdated {
                warn!(pool = %pool.name_any(), "{refusal}");
            }
            outcome.refused.push(refusal);
        }
    }
    context.setbacks().note(&asked, &outcome, now);
    outcome.refused.extend(held_back);
    outcome
}

/// The resizes of each pod, in the order in which they are sent: what gives room before what takes it. A shrink that
/// hangs holds up nobody: the next ones go out beside it.
pub(super) fn shrinks_first(mut resizes: Vec<PodResize>) -> Vec<Vec<PodResize>> {
    resizes.sort_by_key(PodResize::grows);
    let mut of_pods: Vec<Vec<PodResize>> = Vec::new();
    for resize in resizes {
        let same = |of_pod: &&mut Vec<PodResize>| {
            (&of_pod[0].namespace, &of_pod[0].pod) == (&resize.namespace, &resize.pod)
        };
        match of_pods.iter_mut().find(same) {
            Some(of_pod) => of_pod.push(resize),
            None => of_pods.push(vec![resize]),
        }
    }
    // One that does both comes after those that only shrink, and before those that only grow.
    of_pods.sort_by_key(|of_pod| of_pod.iter().any(PodResize::grows));
    of_pods
}

async fn send_in_turn(
    context: &Context,
    snapshot: &Snapshot,
    resizes: Vec<PodResize>,
) -> (Vec<PodResize>, Option<actuate::Refusal>) {
    let mut sent = Vec::new();
    let mut version: Option<String> = None;
    for mut resize in resizes {
        if let Some(version) = version.take() {
            resize.resource_version = version;
        }
        let ranged = snapshot.limits.contains_key(&resize.namespace);
        let first_try = if ranged { snapshot.pod(&resize.namespace, &resize.pod) } else { None };
        context.world.writes(&resize.namespace, &resize.pod);
        let span = debug_span!("resize", pod = %resize.pod, resource = %resize.resource, grows = resize.grows());
        let answer = actuate::send(&context.client, &resize, first_try).instrument(span).await;
        let refused = answer.as_ref().err().map(|refusal| refusal.kind.reason());
        context.serving.metrics.resize(resize.resource, resize.grows(), refused);
        match answer {
            Ok(answer) => {
                version = answer.resource_version();
                context.world.wrote(answer);
                sent.push(resize);
            }
            Err(refusal) => {
                if refusal.kind != RefusalKind::Unreachable {
                    context.world.refused(&resize.namespace, &resize.pod);
                }
                return (sent, Some(refusal));
            }
        }
    }
    (sent, None)
}

/// Puts the pods of a deleted pool back to their templates, for a bounded time, then lets the pool go.
async fn release(pool: &WeightedShare, context: &Context) -> Result<Action, Error> {
    if !pool.finalizers().iter().any(|it| it == FINALIZER) {
        return Ok(Action::await_change());
    }
    let uid = pool.uid().unwrap_or_default();
    let since = context.memories().get(&uid).and_then(|memories| memories.releasing);
    let since = match since {
        Some(since) => since,
        None => {
            // Pods that come now belong to no pool.
            tell_new_pods(pool, &context.client, &NewPodsSpec::default()).await?;
            let since = Instant::now();
            let memories = Memories { releasing: Some(since), ..Memories::default() };
            context.memories().insert(uid.clone(), memories);
            since
        }
    };
    let now = context.clock.now();
    let snapshot = context.world.snapshot(now);
    let namespace = pool.namespace().unwrap_or_default();
    let Release { resizes, waiting, stuck } =
        release::back_to_templates(&snapshot, &namespace, &snapshot.free());
    actuate(context, pool, &snapshot, resizes, now).await;

    // By the clock that nobody sets: the other may be set back by hours.
    if !waiting.is_empty() && since.elapsed() < RELEASE {
        return Ok(Action::requeue(SOON));
    }
    let left = stuck
        .into_iter()
        .chain(waiting)
        .map(|(pod, why)| format!("{pod} ({why})"))
        .collect::<Vec<_>>();
    if !left.is_empty() {
        let note = format!("These pods keep what they have: {}", left.join(", "));
        let notice = Notice { warning: true, reason: "NotReleased".into(), note };
        let told = events::publish(&context.client, &context.clock, pool, vec![notice]).await;
        // Nothing else says so, once the pool is gone.
        if !told && since.elapsed() < RELEASE + TELLING {
            return Ok(Action::requeue(SOON));
        }
    }
    if !set_finalizers(pool, &context.client, false).await? {
        return Ok(Action::requeue(SOON));
    }
    context.memories().remove(&uid);
    Ok(Action::await_change())
}

/// Writes with what new pods of the pool start, beside the pool: it goes when the pool does.
async fn tell_new_pods(
    pool: &WeightedShare,
    client: &Client,
    new_pods: &NewPodsSpec,
) -> Result<(), Error> {
    let name = pool.name_any();
    let told = json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "NewPods",
        "metadata": {"name": name, "ownerReferences": [pool.owner_ref(&())]},
        "spec": new_pods,
    });
    let api: Api<NewPods> = Api::namespaced(client.clone(), &pool.namespace().unwrap_or_default());
    match api.patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(told)).await {
        Ok(_) => Ok(()),
        // A cluster with the definitions of an earlier version: its pods start as their templates say. In a namespace that
        // is being deleted, no pod starts any more.
        Err(kube::Error::Api(status)) if status.code == 404 || is_ending(&status) => Ok(()),
        Err(source) => Err(Error::Api { what: "write the NewPods of", source }),
    }
}

/// Whether the API server makes nothing new, as the namespace is being deleted.
fn is_ending(status: &kube::core::Status) -> bool {
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    causes.any(|cause| cause.reason == "NamespaceTerminating")
}

/// Adds our finalizer, or takes it away, on just the version that was seen. Whether that is done, or nothing is left to do
/// it to.
async fn set_finalizers(pool: &WeightedShare, client: &Client, ours: bool) -> Result<bool, Error> {
    let others = pool.finalizers().iter().filter(|it| *it != FINALIZER).map(String::as_str);
    let finalizers: Vec<&str> = others.chain(ours.then_some(FINALIZER)).collect();
    let patch = json!({"metadata": {
        "resourceVersion": pool.resource_version(),
        "finalizers": finalizers,
    }});
    let params =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    match api(pool, client).patch_metadata(&pool.name_any(), &params, &Patch::Merge(patch)).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(true),
        // It changed.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(source) => Err(Error::Api { what: "set the finalizer of", source }),
    }
}

fn api(pool: &WeightedShare, client: &Client) -> Api<WeightedShare> {
    Api::namespaced(client.clone(), &pool.namespace().unwrap_or_default())
}
