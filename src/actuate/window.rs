//! How many calls may be under way at once. Pure.

/// A number of calls that finds its level: it halves when calls go badly, and grows by one each time that as many went well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    size: usize,
    most: usize,
    went_well: usize,
}

impl Window {
    /// A window that is as wide as it may become, at least one.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { size: most, most, went_well: 0 }
    }

    /// How many calls may be under way.
    #[must_use]
    pub fn size(self) -> usize {
        self.size
    }

    /// A call went well.
    pub fn widen(&mut self) {
        self.went_well += 1;
        if self.went_well >= self.size {
            self.size = (self.size + 1).min(self.most);
            self.went_well = 0;
        }
    }

    /// A call took too long, or was too much.
    pub fn narrow(&mut self) {
        self.size = (self.size / 2).max(1);
        self.went_well = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_halves_at_once_and_grows_slowly() {
        let mut window = Window::new(8);
        window.narrow();
        assert_eq!(window.size(), 4);
        (0..4).for_each(|_| window.widen());
        assert_eq!(window.size(), 5);
        (0..1000).for_each(|_| window.widen());
        assert_eq!(window.size(), 8);
        (0..10).for_each(|_| window.narrow());
        assert_eq!(window.size(), 1);
    }
}
