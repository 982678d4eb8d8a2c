//! [`Progress`]: a bar on standard error while something long runs; nothing at all where no person looks.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Redraws a second: smooth to the eye, nothing to the build.
const DRAWS_PER_SEC: u8 = 10;
/// The bar's layout (indicatif's template language).
const TEMPLATE: &str = "{msg} [{bar:40}] {percent:>3} % {eta} left";

/// A bar, drawn only on a terminal.
#[derive(Debug)]
pub(super) struct Progress {
    /// Hidden where standard error is no terminal.
    bar: ProgressBar,
}

impl Progress {
    /// A bar on standard error, not drawn before the first step.
    pub(super) fn new(message: &'static str) -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SEC);
        let bar = ProgressBar::with_draw_target(None, target).with_message(message);
        match ProgressStyle::with_template(TEMPLATE) {
            Ok(style) => Self { bar: bar.with_style(style.progress_chars("=> ")) },
            Err(_) => Self { bar },
        }
    }

    /// Shows that `done` of `total` is done; cheap, to be called from any thread.
    pub(super) fn step(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// Takes the bar away.
    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_one() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }

    #[test]
    fn steps_may_come_from_any_thread_and_in_any_order() {
        let progress = Progress::new("test");
        std::thread::scope(|scope| {
            scope.spawn(|| progress.step(2, 3));
            scope.spawn(|| progress.step(1, 3));
        });
        assert_eq!(progress.bar.length(), Some(3));
        progress.finish();
    }
}
