//! What a broken invariant does to a node: it stops it.
//!
//! A node that went on after a panic would serve with a broken partition, or with groups whose timers are dead. One that
//! stops is started again from its logs, which hold everything that was acknowledged. Tests and simulations do without
//! this, so that a panic in them fails one test and no more.

use tracing::error;

/// From now on a panic of any thread or task is logged, and ends the process without running anything else.
pub(super) fn on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // To standard error with a backtrace if that is asked for, whatever the levels of the log are.
        report(panic);
        let message = panic.payload_as_str().unwrap_or("a panic without a message");
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        error!(%location, "an invariant is broken, and the node stops: {message}");
        std::process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    /// Set in the process that is to end.
    const CHILD: &str = "THALWEG_TEST_ABORT_CHILD";

    #[test]
    fn a_panic_ends_the_process_whoever_catches_it() {
        if std::env::var_os(CHILD).is_some() {
            super::on_panic();
            let _ = std::panic::catch_unwind(|| panic!("the log only grows"));
            println!("survived");
            return;
        }
        let program = std::env::current_exe().expect("this program");
        let arguments = ["--exact", "serve::abort::tests::a_panic_ends_the_process_whoever_catches_it", "--nocapture"];
        let child = Command::new(program).args(arguments).env(CHILD, "1").output().expect("it ran");
        let (out, err) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
        assert!(!child.status.success() && !out.contains("survived"), "{out}");
        assert!(err.contains("the log only grows"), "{err}");
    }
}
