//! The members' own questions: how well each does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, future::BoxFuture, stream};
use k8s_openapi::jiff::Timestamp;
use prometheus_http_query::response::{Data, Sample};
use tokio::time::{Instant, timeout_at};

use super::{
    PrometheusOptions,
    client::{Client, Look, QueryError},
    resources::timestamp,
};
use crate::metrics::{
    MemberKey, Objective, ObjectiveReading, Readings, Source, SourceError, scope::scoped,
};

/// The biggest answer to a member's question.
const ANSWER: usize = 1 << 20;
/// How many questions one namespace may ask in one look.
pub(super) const PER_NAMESPACE: usize = 64;
/// How many are asked at once.
const AT_ONCE: usize = 4;
/// How long all of them may take in one look.
const BUDGET: Duration = Duration::from_secs(10);
/// The most looks that a slow question waits.
const LONGEST_WAIT: u32 = 10;

/// How well members do, by the question of each.
pub struct Objectives {
    pub(super) client: Client,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    slow: BTreeMap<MemberKey, Slow>,
    /// Where the next look begins, so that the last in line have their turn.
    first: usize,
}

/// A question that took too long: asked again after `left` looks.
#[derive(Clone, Copy, Default)]
struct Slow {
    wait: u32,
    left: u32,
}

/// The answer to one question.
enum Outcome {
    Value(f64, Timestamp),
    Wrong(String),
    Failed(QueryError),
}

impl Objectives {
    /// Of that Prometheus. Nothing is asked yet.
    ///
    /// # Errors
    /// When the options cannot be used.
    pub fn new(options: &PrometheusOptions) -> Result<Self, SourceError> {
        Ok(Self { client: Client::new(options)?, memory: Mutex::default() })
    }

    async fn look(&self, objectives: &[Objective]) -> Result<Readings, SourceError> {
        let (look, now) = (self.client.look().await?, Timestamp::now());
        let reading = |objective: &Objective, at, value| ObjectiveReading {
            member: objective.member.clone(),
            at,
            value,
        };
        let mut readings = Vec::with_capacity(objectives.len());
        let mut questions = Vec::new();
        for (objective, question) in self.questions(objectives) {
            match question {
                Ok(query) => questions.push((objective, query)),
                Err(why) => readings.push(reading(objective, now, Err(why))),
            }
        }
        let deadline = Instant::now() + BUDGET;
        let ask = async |(objective, query): (&'_ Objective, String)| {
            (objective.clone(), ask(&look, &query, deadline).await)
        };
        let mut asked = stream::iter(questions).map(ask).buffer_unordered(AT_ONCE);
        while let Some((objective, outcome)) = asked.next().await {
            let slow = matches!(outcome, Some(Outcome::Failed(QueryError::Slow)));
            self.note(&objective.member, slow);
            readings.push(match outcome {
                Some(Outcome::Value(value, at)) => reading(&objective, at, Ok(value)),
                Some(Outcome::Wrong(why)) => reading(&objective, now, Err(why)),
                Some(Outcome::Failed(error)) => reading(&objective, now, Err(error.for_members())),
                None => {
                    let why =
                        "there was no time for the query in this round: it will be queried again";
                    reading(&objective, now, Err(why.to_owned()))
                }
            });
        }
        Ok(Readings { objectives: readings, ..Readings::default() })
    }

    /// What is asked this time, and why not.
    pub(super) fn questions<'o>(
        &self,
        objectives: &'o [Objective],
    ) -> Vec<(&'o Objective, Result<String, String>)> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let members: BTreeSet<&MemberKey> = objectives.iter().map(|it| &it.member).collect();
        memory.slow.retain(|member, _| members.contains(member));
        let first = memory.first.checked_rem(objectives.len()).unwrap_or_default();
        memory.first = first + PER_NAMESPACE;
        let (before, after) = objectives.split_at(first);
        let mut asked: BTreeMap<&str, usize> = BTreeMap::new();
        let in_turn = after.iter().chain(before);
        in_turn
            .map(|objective| {
                let namespace = &*objective.member.namespace;
                let question = match memory.slow.get_mut(&objective.member) {
                    Some(slow) if slow.left > 0 => {
                        slow.left -= 1;
                        let rounds = slow.left + 1;
                        let plural = if rounds == 1 { "" } else { "s" };
                        Err(format!("it took too long: it is queried again after {rounds} round{plural}"))
                    }
                    _ => scoped(&objective.query, namespace).map_err(|error| error.to_string()),
                };
                let question = question.and_then(|query| {
                    let count = asked.entry(namespace).or_default();
                    *count += 1;
                    if *count > PER_NAMESPACE {
                        return Err(format!(
                            "namespace {namespace} has more than {PER_NAMESPACE} queries in one round: give fewer members an objective"
                        ));
                    }
                    Ok(query)
                });
                (objective, question)
            })
            .collect()
    }

    pub(super) fn note(&self, member: &MemberKey, slow: bool) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if !slow {
            memory.slow.remove(member);
            return;
        }
        // The first time may be chance: the next look asks again.
        let state = memory.slow.entry(member.clone()).or_insert(Slow { wait: 0, left: 0 });
        state.left = state.wait;
        state.wait = (state.wait * 2).clamp(1, LONGEST_WAIT);
    }
}

/// None where there was no time to ask.
async fn ask(look: &Look<'_>, query: &str, deadline: Instant) -> Option<Outcome> {
    if Instant::now() >= deadline {
        return None;
    }
    let answer = timeout_at(deadline, look.ask(query, ANSWER)).await;
    Some(match answer {
        Ok(Ok(data)) => one(data),
        Ok(Err(error)) => Outcome::Failed(error),
        Err(_) => return None,
    })
}

/// The one number that an answer comes to.
fn one(data: Data) -> Outcome {
    let sample = match &data {
        Data::Scalar(sample) => *sample,
        Data::Vector(series) => match series.as_slice() {
            [series] => *series.sample(),
            [] => {
                return Outcome::Wrong(
                    "it returns nothing: is the metric scraped with a namespace label?".to_owned(),
                );
            }
            many => {
                let count = many.len();
                return Outcome::Wrong(format!(
                    "it returns {count} series: aggregate them to one, for example with sum(...)"
                ));
            }
        },
        Data::Matrix(_) => {
            return Outcome::Wrong(
                "it returns a range: make one number of it, for example with avg_over_time(...)"
                    .to_owned(),
            );
        }
    };
    finite(sample)
}

fn finite(sample: Sample) -> Outcome {
    let value = sample.value();
    match timestamp(sample.timestamp()) {
        _ if value.is_nan() => Outcome::Wrong(
            "it returns NaN: does it divide by zero while there are no requests?".to_owned(),
        ),
        _ if value.is_infinite() => {
            Outcome::Wrong("it returns no finite number: does it divide by zero?".to_owned())
        }
        Some(at) => Outcome::Value(value, at),
        None => {
            Outcome::Wrong("the time of its value cannot be read: query a current value".to_owned())
        }
    }
}

impl Source for Objectives {
    fn name(&self) -> &'static str {
        "prometheus objectives"
    }

    fn read<'a>(
        &'a self,
        objectives: &'a [Objective],
    ) -> BoxFuture<'a, Result<Readings, SourceError>> {
        Box::pin(self.look(objectives))
    }
}
