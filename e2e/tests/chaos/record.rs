//! Every version that the API server ever stored of the pods and pools of a namespace.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, WatchEvent, WatchParams},
    core::ObjectList,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::sleep};

/// What became of an object.
#[derive(Clone, Debug)]
pub enum Version<K> {
    /// It is so from now on.
    Is(K),
    /// It is gone; so it was.
    Gone(K),
}

/// The versions of all objects of one kind, each with the time when it was read, by resourceVersion: one number for the
/// whole cluster.
pub type Versions<K> = BTreeMap<u64, (Instant, Version<K>)>;

/// Writes down every version of the objects of one kind: by a watch, and where that breaks, by reading each
/// revision that it missed from the server's history. (After a restart the API server does not take up old watches.)
struct Recorder<K> {
    api: Api<K>,
    versions: Versions<K>,
    /// What there is now, by name.
    now: BTreeMap<String, K>,
    /// All is known up to here.
    at: u64,
    /// Revisions that were read from history.
    read: u64,
}

/// A recorder at work.
pub struct Recording<K> {
    task: JoinHandle<Result<Recorder<K>>>,
    end: Arc<AtomicBool>,
}

impl<K> Recording<K>
where
    K: Clone + Debug + DeserializeOwned + Resource + Send + Sync + 'static,
{
    /// Begins with what there is.
    ///
    /// # Errors
    /// When that cannot be read.
    pub async fn start(api: Api<K>) -> Result<Self> {
        let (versions, now) = (Versions::new(), BTreeMap::new());
        let mut recorder = Recorder { api, versions, now, at: 0, read: 0 };
        let (at, list) = recorder.list(None).await?;
        recorder.at = at;
        for object in list {
            let version = (version(&object)?, Version::Is(object.clone()));
            recorder.versions.insert(version.0, (Instant::now(), version.1));
            recorder.now.insert(object.name_any(), object);
        }
        let end = Arc::new(AtomicBool::new(false));
        Ok(Self { task: tokio::spawn(recorder.work(end.clone())), end })
    }

    /// Returns all versions up to the present, and how many revisions were read from history.
    ///
    /// # Errors
    /// When one was missed.
    pub async fn end(self) -> Result<(Versions<K>, u64)> {
        self.end.store(true, Ordering::Relaxed);
        let mut recorder = self.task.await??;
        recorder.catch_up().await?;
        Ok((recorder.versions, recorder.read))
    }
}

impl<K> Recorder<K>
where
    K: Clone + Debug + DeserializeOwned + Resource + Send + Sync + 'static,
{
    async fn work(mut self, end: Arc<AtomicBool>) -> Result<Self> {
        while !end.load(Ordering::Relaxed) {
            match self.catch_up().await {
                Ok(()) => self.follow(&end).await?,
                Err(error) if is_passing(&error) => sleep(Duration::from_millis(200)).await,
                Err(error) => return Err(error),
            }
        }
        Ok(self)
    }

    /// Takes down what the watch tells, until it ends or breaks.
    async fn follow(&mut self, end: &AtomicBool) -> Result<()> {
        let parameters = WatchParams::default();
        let Ok(stream) = self.api.clone().watch(&parameters, &self.at.to_string()).await else {
            return Ok(());
        };
        let mut stream = stream.boxed();
        while !end.load(Ordering::Relaxed) {
            let event = tokio::select! {
                event = stream.next() => event,
                () = sleep(Duration::from_secs(1)) => continue,
            };
            match event {
                Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                    self.note(version(&object)?, Version::Is(object));
                }
                Some(Ok(WatchEvent::Deleted(object))) => {
                    self.note(version(&object)?, Version::Gone(object));
                }
                Some(Ok(WatchEvent::Bookmark(bookmark))) => {
                    self.at = bookmark.metadata.resource_version.parse()?;
                }
                Some(Ok(WatchEvent::Error(_)) | Err(_)) | None => break,
            }
        }
        Ok(())
    }

    /// Reads every revision since the last one that is known. What differs there from what is known is new there:
    /// otherwise something was missed.
    async fn catch_up(&mut self) -> Result<()> {
        let (present, _) = self.list(None).await?;
        while self.at < present {
            let revision = self.at + 1;
            let (_, list) = self.list(Some(revision)).await?;
            self.read += 1;
            let mut gone = self.now.clone();
            let mut changed = Vec::new();
            for object in list {
                let known = gone.remove(&object.name_any());
                let (new, known) = (version(&object)?, known.as_ref().map(version).transpose()?);
                if known != Some(new) {
                    ensure!(
                        new == revision,
                        "{} has the version {new}, which was not seen: known is {known:?}",
                        object.name_any()
                    );
                    changed.push(Version::Is(object));
                }
            }
            changed.extend(gone.into_values().map(Version::Gone));
            ensure!(changed.len() <= 1, "the revision {revision} changes {changed:?}");
            match changed.pop() {
                Some(change) => self.note(revision, change),
                None => self.at = revision,
            }
        }
        Ok(())
    }

    fn note(&mut self, revision: u64, version: Version<K>) {
        match &version {
            Version::Is(object) => self.now.insert(object.name_any(), object.clone()),
            Version::Gone(object) => self.now.remove(&object.name_any()),
        };
        self.versions.insert(revision, (Instant::now(), version));
        self.at = revision;
    }

    /// What there was at a revision, or is at present.
    async fn list(&self, revision: Option<u64>) -> Result<(u64, Vec<K>)> {
        let parameters = match revision {
            Some(revision) => ListParams::default()
                .matching(kube::api::VersionMatch::Exact)
                .at(&revision.to_string()),
            None => ListParams::default(),
        };
        let ObjectList { metadata, items, .. } = self.api.list(&parameters).await?;
        let at = metadata.resource_version.context("the version of a list")?;
        Ok((at.parse()?, items))
    }
}

/// Whether it is the API server that does not answer, and not the history that is gone.
fn is_passing(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => status.code != 410,
        other => other.is_some(),
    }
}

/// Keeps what was recorded, to look for the cause of what a playback finds: one version a line, each with its
/// resourceVersion and the seconds since the first.
///
/// # Errors
/// When the file cannot be written.
pub fn keep<A: Serialize, B: Serialize>(
    pods: &Versions<A>,
    pools: &Versions<B>,
    file: &Path,
) -> Result<()> {
    let times = pods.values().map(|it| it.0).chain(pools.values().map(|it| it.0));
    let began = times.min().context("nothing was recorded")?;
    let lines: BTreeMap<u64, Value> =
        lines("pod", began, pods).chain(lines("pool", began, pools)).collect();
    let mut text = String::new();
    lines.values().for_each(|line| text += &format!("{line}\n"));
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

fn lines<K: Serialize>(
    kind: &'static str,
    began: Instant,
    versions: &Versions<K>,
) -> impl Iterator<Item = (u64, Value)> {
    versions.iter().map(move |(at, (time, version))| {
        let (object, gone) = match version {
            Version::Is(object) => (object, false),
            Version::Gone(object) => (object, true),
        };
        let after = time.duration_since(began).as_secs_f64();
        (*at, json!({"at": at, "after": after, "gone": gone, kind: object}))
    })
}

/// What was kept of one kind.
///
/// # Errors
/// When the file cannot be read.
pub fn kept<K: DeserializeOwned>(kind: &str, file: &Path) -> Result<Versions<K>> {
    let began = Instant::now();
    let text = std::fs::read_to_string(file)?;
    let mut versions = Versions::new();
    for line in text.lines() {
        let mut line: Value = serde_json::from_str(line)?;
        let Some(object) = line.get_mut(kind).map(Value::take) else { continue };
        let object = serde_json::from_value(object)?;
        let version =
            if line["gone"] == true { Version::Gone(object) } else { Version::Is(object) };
        let after = Duration::from_secs_f64(line["after"].as_f64().context("a time")?);
        versions.insert(line["at"].as_u64().context("a version")?, (began + after, version));
    }
    Ok(versions)
}

fn version<K: Resource>(object: &K) -> Result<u64> {
    Ok(object.resource_version().context("an object has a version")?.parse()?)
}
