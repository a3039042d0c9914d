//! Progress on standard error.

use std::borrow::Cow;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Whether progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visibility {
    /// Where standard error is a terminal.
    OnTerminals,
    /// Nowhere.
    Hidden,
}

/// What a bar counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Slots,
    Bytes,
}

/// A progress bar; its clones are the same bar. It disappears with the last of them.
#[derive(Clone, Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Begins a bar with a heading.
    pub(crate) fn start(visibility: Visibility, unit: Unit, total: u64, heading: impl Into<Cow<'static, str>>) -> Self {
        let target = match visibility {
            Visibility::OnTerminals => ProgressDrawTarget::stderr(),
            Visibility::Hidden => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(total), target)
            .with_style(unit.style())
            .with_prefix(heading);
        Self(bar)
    }

    /// So much is done of so much.
    pub(crate) fn set(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    /// So much more is done.
    pub(crate) fn advance(&self, by: u64) {
        self.0.inc(by);
    }

    /// Shows a rate of something else beside that of the bar.
    pub(crate) fn set_transactions(&self, transactions: u64) {
        let seconds = self.0.elapsed().as_secs_f64();
        if seconds > 0.0 {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a rate that a person reads needs no more than 52 bits"
            )]
            self.0.set_message(format!("{:.0} tx/s", transactions as f64 / seconds));
        }
    }

    /// Prints a line above the bar; where there is no bar, to standard error.
    pub(crate) fn note(&self, line: &str) {
        self.0.suspend(|| {
            use std::io::Write as _;
            // A note that cannot be shown is no reason to stop.
            let _ = writeln!(std::io::stderr(), "{line}");
        });
    }

    /// Removes the bar.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Unit {
    fn style(self) -> ProgressStyle {
        let template = match self {
            Self::Slots => "{prefix} [{wide_bar}] {human_pos}/{human_len} slots, {per_sec:.1}, {msg}, {eta} left",
            Self::Bytes => "{prefix} [{wide_bar}] {bytes}/{total_bytes}, {eta} left",
        };
        ProgressStyle::with_template(template)
            .expect("the template is well formed")
            .progress_chars("=> ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_well_formed() {
        for unit in [Unit::Slots, Unit::Bytes] {
            let progress = Progress::start(Visibility::Hidden, unit, 10, "test");
            progress.set(4, 10);
            progress.advance(1);
            assert_eq!(progress.0.position(), 5);
            progress.clear();
        }
    }
}
