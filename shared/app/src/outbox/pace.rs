//! How fast an outbox is emptied.

/// More calls side by side while all goes well, fewer and with pauses when the other side asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Calls side by side.
    pub width: usize,
    /// The ceiling of the pause before the next ones.
    pub pause_millis: u64,
    /// Waves in a row of which nothing was taken.
    vain: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            width: Self::WIDEST,
            pause_millis: 0,
            vain: 0,
        }
    }
}

impl Pace {
    /// Fifty rows in five calls are deleted in two.
    pub const WIDEST: usize = 5;
    const FIRST_PAUSE: u64 = 100;
    const LONGEST_PAUSE: u64 = 3_200;
    /// After so many waves in vain the other side is down, and trying on would only use up attempts.
    const PATIENCE: u32 = 6;

    /// After a wave: whether anything was taken, and whether anything was throttled or the other side did not answer.
    pub fn after(&mut self, taken: bool, strained: bool) {
        if strained {
            self.width = (self.width / 2).max(1);
            self.pause_millis = (self.pause_millis * 2).clamp(Self::FIRST_PAUSE, Self::LONGEST_PAUSE);
        } else {
            self.width = (self.width + 1).min(Self::WIDEST);
            self.pause_millis /= 2;
        }
        // A row that is refused says nothing about the other side; silence does.
        self.vain = if strained && !taken { self.vain + 1 } else { 0 };
    }

    /// Whether to stop for now.
    #[must_use]
    pub fn is_down(self) -> bool {
        self.vain >= Self::PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_halves_under_strain_and_comes_back_step_by_step() {
        let mut pace = Pace::default();
        let mut after = |taken, strained| {
            pace.after(taken, strained);
            (pace.width, pace.pause_millis)
        };
        assert_eq!(after(true, false), (5, 0));
        let strained: Vec<_> = (0..8).map(|_| after(true, true)).collect();
        assert_eq!(
            strained,
            [
                (2, 100),
                (1, 200),
                (1, 400),
                (1, 800),
                (1, 1_600),
                (1, 3_200),
                (1, 3_200),
                (1, 3_200)
            ]
        );
        let calm: Vec<_> = (0..6).map(|_| after(false, false)).collect();
        assert_eq!(
            calm,
            [(2, 1_600), (3, 800), (4, 400), (5, 200), (5, 100), (5, 50)]
        );
    }

    #[test]
    fn only_silence_in_a_row_means_that_the_other_side_is_down() {
        let mut pace = Pace::default();
        for _ in 0..5 {
            pace.after(false, true);
        }
        assert!(!pace.is_down());
        for (taken, strained) in [(true, true), (false, false)] {
            let mut other = pace;
            other.after(taken, strained);
            other.after(false, true);
            assert!(!other.is_down(), "taken: {taken}, strained: {strained}");
        }
        pace.after(false, true);
        assert!(pace.is_down());
    }
}
