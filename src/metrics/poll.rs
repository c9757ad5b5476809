//! Asks the sources, again and again.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{Objective, Readings, Source, SourceError};

/// How long a source may take for an answer.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// How often it is asked while news is due, which is from so long before it is expected to so long after that.
const PROMPT: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_secs(5);
/// An interval from that on is looked into half way. It may be taken to be longer than it is, as after an outage: who only asks when news
/// is due would never see that.
const HALVED: Duration = Duration::from_secs(30);

/// A source, and how often it is asked.
pub struct Asked {
    /// The source.
    pub source: Box<dyn Source>,
    /// How long to wait between two questions. Where it measures less often than that, it is asked when news is due.
    pub every: Duration,
    /// It tells what pods use.
    pub usage: bool,
    /// It tells how well members do.
    pub performance: bool,
}

/// What the sources are asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Questions {
    /// The questions of all members.
    pub objectives: Vec<Objective>,
    /// Every how often each source measures, as far as is known, by its name.
    pub intervals: BTreeMap<&'static str, Duration>,
}

/// What a source said.
#[derive(Debug)]
pub struct Said {
    /// The source.
    pub source: &'static str,
    /// Its answer.
    pub readings: Result<Readings, SourceError>,
}

/// Asks the sources for ever, each in a task of its own. The tasks end with `tasks`.
pub fn poll(
    sources: Vec<Asked>,
    questions: &watch::Receiver<Questions>,
    tasks: &mut JoinSet<()>,
) -> mpsc::Receiver<Said> {
    let (sender, said) = mpsc::channel(1);
    for asked in sources {
        tasks.spawn(poll_one(asked, questions.clone(), sender.clone()));
    }
    said
}

async fn poll_one(asked: Asked, questions: watch::Receiver<Questions>, sender: mpsc::Sender<Said>) {
    let source = asked.source.name();
    let mut times = Times::default();
    let mut newest = None;
    loop {
        let interval = questions.borrow().intervals.get(source).copied().unwrap_or_default();
        if let Some(next) = times.next(asked.every, interval) {
            sleep_until(next).await;
        }
        let began = Instant::now();
        times.asked = Some(began);
        let objectives = questions.borrow().objectives.clone();
        let answer = timeout(PATIENCE, asked.source.read(&objectives)).await;
        let readings = answer.unwrap_or_else(|_| {
            let seconds = began.elapsed().as_secs();
            Err(SourceError::Failed(format!("{source} did not answer within {seconds} s")))
        });
        if let Ok(readings) = &readings
            && readings.newest() > newest
        {
            newest = readings.newest();
            times.news = Some(Instant::now());
        }
        if sender.send(Said { source, readings }).await.is_err() {
            return;
        }
    }
}

/// When a source was asked last, and when that brought news.
#[derive(Default)]
struct Times {
    asked: Option<Instant>,
    news: Option<Instant>,
}

impl Times {
    /// When it is to be asked next, where it measures once in an `interval`. None: now.
    fn next(&self, every: Duration, interval: Duration) -> Option<Instant> {
        let asked = self.asked?;
        let due = self.news.filter(|_| every < interval).map(|news| news + interval);
        let half = self.news.filter(|_| interval >= HALVED).map(|news| news + interval / 2);
        let half = half.filter(|half| asked < *half);
        Some(match due {
            Some(due) if asked < due - PROMPT => half.unwrap_or(due - PROMPT),
            Some(due) if asked < due + LATE => asked + PROMPT,
            _ => asked + every,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_asked_when_news_is_due() {
        let seconds = Duration::from_secs;
        let start = Instant::now();
        let asks = |news: Option<u64>, every: u64, interval: u64| {
            let mut times = Times { asked: None, news: news.map(|at| start + seconds(at)) };
            assert_eq!(times.next(seconds(every), seconds(interval)), None);
            times.asked = Some(start);
            let mut at = Vec::new();
            while at.len() < 9 {
                let next = times.next(seconds(every), seconds(interval)).unwrap();
                at.push(next.duration_since(start).as_secs());
                times.asked = Some(next);
            }
            at
        };
        assert_eq!(asks(None, 5, 15), [5, 10, 15, 20, 25, 30, 35, 40, 45]);
        assert_eq!(asks(Some(0), 5, 15), [14, 15, 16, 17, 18, 19, 20, 25, 30]);
        assert_eq!(asks(Some(0), 5, 60), [30, 59, 60, 61, 62, 63, 64, 65, 70]);
        // A source that is asked as seldom as it measures always has news.
        assert_eq!(asks(Some(0), 15, 15), [15, 30, 45, 60, 75, 90, 105, 120, 135]);
    }
}
