//! What the cluster would do, in the lines that several commands print.

use super::console::Console;
use scheduler::Plan;

/// What the scheduler had to object, its scores where they were asked for, and what would be done.
pub(super) fn print(console: &mut Console, plan: &Plan) {
    for text in &plan.errors {
        console.error(text);
    }
    for text in &plan.warnings {
        console.warning(text);
    }
    if plan.refused.is_some() {
        // It is among the errors; "nothing to do" would be another answer.
        return;
    }
    if !plan.scores.is_empty() {
        console.line("Assignment Scores:");
    }
    for score in &plan.scores {
        console.line(&format!("  * {score}"));
    }
    console.line("Transition Summary:");
    for line in &plan.summary {
        console.line(&format!("  * {line}"));
    }
    if plan.summary.is_empty() {
        console.line("  * nothing to do");
    }
}
