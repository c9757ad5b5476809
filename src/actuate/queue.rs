//! Work that waits, served one namespace after the other: a namespace with much to do, or whose calls are slow, holds up no
//! other. Pure.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
};

use super::window::Window;

/// Work by namespace.
#[derive(Debug)]
pub struct Queue<T> {
    /// How much may be under way at once.
    workers: Window,
    most: usize,
    /// What waits, in the order in which each namespace wants it. No namespace without work.
    waiting: BTreeMap<String, VecDeque<T>>,
    /// What is under way, by namespace. No namespace that has nothing to do.
    under_way: BTreeMap<String, UnderWay>,
    /// The namespace that was served last.
    last: String,
}

/// What is under way in one namespace.
#[derive(Debug)]
struct UnderWay {
    count: usize,
    window: Window,
}

/// How a piece of work ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// In good time, whatever the answer was.
    InTime,
    /// It was not needed any more.
    Unneeded,
    /// Late, or without an answer: something in its namespace is slow.
    Late,
    /// The API server has too much to do.
    Throttled,
}

impl<T> Queue<T> {
    /// A queue of which `most` pieces may be under way at once.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            workers: Window::new(most),
            most,
            waiting: BTreeMap::new(),
            under_way: BTreeMap::new(),
            last: String::new(),
        }
    }

    /// Adds a piece behind those of its namespace.
    pub fn push(&mut self, namespace: &str, work: T) {
        match self.waiting.get_mut(namespace) {
            Some(waiting) => waiting.push_back(work),
            None => drop(self.waiting.insert(namespace.to_owned(), [work].into())),
        }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The number of pieces under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.values().map(|it| it.count).sum()
    }

    /// The next piece, with its namespace: it is under way then, until [`Queue::done`].
    ///
    /// While others wait, a namespace has no more than a quarter of the workers, and at least one. Where its calls are slow, it
    /// has fewer.
    pub fn begin(&mut self) -> Option<(String, T)> {
        let workers = self.workers.size();
        if self.under_way() >= workers {
            return None;
        }
        let part = match self.waiting.len() {
            0 => return None,
            1 => workers,
            _ => (workers / 4).max(1),
        };
        let after = (Bound::Excluded(self.last.as_str()), Bound::Unbounded);
        let up_to = (Bound::Unbounded, Bound::Included(self.last.as_str()));
        let in_turn =
            self.waiting.range::<str, _>(after).chain(self.waiting.range::<str, _>(up_to));
        let can = |(namespace, _): &(&String, &VecDeque<T>)| {
            let has_room = |it: &UnderWay| it.count < part.min(it.window.size());
            self.under_way.get(*namespace).is_none_or(has_room)
        };
        let namespace = in_turn.into_iter().find(can)?.0.clone();
        let waiting = self.waiting.get_mut(&namespace)?;
        let work = waiting.pop_front()?;
        if waiting.is_empty() {
            self.waiting.remove(&namespace);
        }
        let none = UnderWay { count: 0, window: Window::new(self.most) };
        self.under_way.entry(namespace.clone()).or_insert(none).count += 1;
        self.last.clone_from(&namespace);
        Some((namespace, work))
    }

    /// A piece of this namespace has ended.
    pub fn done(&mut self, namespace: &str, how: Ended) {
        let Some(under_way) = self.under_way.get_mut(namespace) else { return };
        match how {
            Ended::InTime => {
                under_way.window.widen();
                self.workers.widen();
            }
            Ended::Unneeded => {}
            Ended::Late => under_way.window.narrow(),
            Ended::Throttled => self.workers.narrow(),
        }
        under_way.count -= 1;
        // What was slow is known as long as there is more to do.
        if under_way.count == 0 && !self.waiting.contains_key(namespace) {
            self.under_way.remove(namespace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(workers: usize, work: &[(&str, u32)]) -> Queue<u32> {
        let mut queue = Queue::new(workers);
        work.iter().for_each(|(namespace, number)| queue.push(namespace, *number));
        queue
    }

    fn begun(queue: &mut Queue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.begin()).map(|(_, number)| number).collect()
    }

    #[test]
    fn namespaces_take_turns() {
        let mut queue = queue(8, &[("a", 1), ("a", 2), ("a", 3), ("b", 10), ("c", 20), ("c", 21)]);
        assert_eq!(begun(&mut queue), [1, 10, 20, 2, 21, 3]);
    }

    #[test]
    fn a_slow_namespace_keeps_a_quarter_of_the_workers() {
        let all: Vec<(&str, u32)> =
            (0..9).map(|i| ("slow", i)).chain((10..19).map(|i| ("quick", i))).collect();
        let mut queue = queue(8, &all);
        assert_eq!(begun(&mut queue), [10, 0, 11, 1]);
        queue.done("quick", Ended::InTime);
        queue.done("quick", Ended::InTime);
        assert_eq!(begun(&mut queue), [12, 13]);
    }

    #[test]
    fn a_namespace_alone_has_all_workers() {
        let mut queue = queue(4, &[("a", 1), ("a", 2), ("a", 3), ("a", 4), ("a", 5)]);
        assert_eq!(begun(&mut queue), [1, 2, 3, 4]);
        queue.done("a", Ended::InTime);
        assert_eq!(begun(&mut queue), [5]);
    }

    #[test]
    fn slow_calls_cost_their_own_namespace_its_workers() {
        let all: Vec<(&str, u32)> = (0..20).map(|i| ("slow", i)).collect();
        let mut queue = queue(8, &all);
        assert_eq!(begun(&mut queue).len(), 8);
        (0..8).for_each(|_| queue.done("slow", Ended::Late));
        assert_eq!(begun(&mut queue), [8]);
        // Another finds all the others free.
        (0..9).for_each(|i| queue.push("quick", 100 + i));
        assert_eq!(begun(&mut queue), [100, 101]);
        queue.done("slow", Ended::InTime);
        assert_eq!(begun(&mut queue), [9, 10]);
    }

    #[test]
    fn where_the_server_has_too_much_to_do_all_wait() {
        let all: Vec<(&str, u32)> = (0..9).map(|i| ("a", i)).collect();
        let mut queue = queue(8, &all);
        begun(&mut queue);
        queue.done("a", Ended::Throttled);
        assert!(begun(&mut queue).is_empty());
        (0..4).for_each(|_| queue.done("a", Ended::InTime));
        assert_eq!(begun(&mut queue), [8]);
    }
}
