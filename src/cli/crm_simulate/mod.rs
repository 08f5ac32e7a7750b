//! `crm_simulate` (once `ptest`): what the cluster would do, and how it would stand afterwards.

#[cfg(test)]
mod agreement;
mod dot;
mod execute;
mod graph_xml;
mod inject;
mod options;
mod profile;
mod record;
mod source;
mod summary;
#[cfg(test)]
mod tests;

use graph_xml::graph_xml;
pub(super) use options::OPTIONS;
pub(super) use source::{bytes_of, decided_at, now_s, read as read_source};
pub(super) use summary::Row;

use super::console::Console;
use super::crm::describe_finding;
use super::exit::{Exit, Failure};
use super::getopt::{self, Found};
use super::tool::Tool;
use crate::view::list::{self, Look};
use crate::view::printer::{Form, Printer};
use crate::view::{self, Status, parts, text, xml};
use cib::Element;
use cib::check::Severity;
use options::Wanted;
use scheduler::{Plan, ResourceStatus, Score};

/// The whole program; `args` without its name.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    TOOL.alone(args, run)
}

/// Its answer, in text or as parts of an answer in XML.
pub(super) fn run(console: &mut Console, found: &Found) -> Result<(), Failure> {
    let wanted = Wanted::read(found)?;
    if let Some(folder) = &wanted.profile {
        return profile::run(folder, &wanted, console);
    }
    // What holds the answer in XML is made by the tool.
    let answer = Printer::new(wanted.form(), Element::default());
    let mut cib = source::read(wanted.source.as_deref())?;
    let mut session = Session {
        wanted: &wanted,
        out: answer,
        now: 0,
        complete: true,
    };
    let done = session.run(&mut cib, console);
    // The process ends: giving a big tree back piece by piece would take longer than to plan.
    std::mem::forget(cib);
    let complete = session.complete;
    console.print(&session.out.take());
    for part in session.out.into_xml().unwrap_or_default().children {
        console.element(part);
    }
    done?;
    match complete {
        true => Ok(()),
        false => Err(Failure::new(
            Exit::Error,
            "Transition failed: terminated\nAn invalid transition was produced",
        )),
    }
}

/// As the command with these words, on a CIB that is at hand: what they inject, and what would come
/// of a transition, is in it afterwards.
///
/// # Errors
/// As the command.
pub(super) fn on(cib: &mut Element, words: &[&str], console: &mut Console) -> Result<(), Failure> {
    let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
    let wanted = Wanted::read(&getopt::parse(&OPTIONS, &words)?)?;
    let mut session = Session {
        wanted: &wanted,
        out: Printer::new(wanted.form(), Element::default()),
        now: 0,
        complete: true,
    };
    let done = session.run(cib, console);
    console.print(&session.out.take());
    done
}

const TOOL: Tool = Tool {
    name: "crm_simulate",
    options: &OPTIONS,
    usage: options::USAGE,
    prefix: "crm_simulate: ",
};

/// One simulation.
struct Session<'a> {
    wanted: &'a Wanted,
    out: Printer,
    /// Seconds since the epoch.
    now: i64,
    /// The transition came to its end.
    complete: bool,
}

impl Session<'_> {
    fn run(&mut self, cib: &mut Element, console: &mut Console) -> Result<(), Failure> {
        let wanted = self.wanted;
        if cib.attr("validate-with") == Some("none") {
            console.err_line(NO_SCHEMA);
        }
        must_conform(cib)?;
        self.set_now(cib);
        let mut plan = self.plan(cib, console)?;
        if !wanted.quiet {
            self.show_before(cib, &plan);
        }
        if !wanted.injections.is_empty() {
            if !wanted.quiet {
                self.out.spacer();
            }
            self.inject(cib, &plan.resources, console);
            self.set_now(cib);
            plan = self.plan(cib, console)?;
        }
        if let Some(file) = &wanted.save_input {
            write(file, &cib::xml::format(cib))?;
        }
        if !wanted.process {
            return Ok(());
        }
        let scores = wanted.scores || wanted.utilization;
        // Quiet changes are told of by nothing but a line between what was before and what comes.
        if wanted.quiet && !wanted.injections.is_empty() && (scores || wanted.simulate) {
            self.out.spacer();
        }
        self.show_scores(&plan);
        self.save_graph(cib, &plan)?;
        if !wanted.quiet {
            self.show_summary(&plan);
        }
        if !wanted.simulate {
            return Ok(());
        }
        if !wanted.quiet {
            self.out.spacer();
        }
        self.execute(cib, &plan);
        if let Some(file) = wanted.save_output() {
            write(file, &cib::xml::format(cib))?;
        }
        if !wanted.quiet {
            self.set_now(cib);
            let plan = self.plan(cib, console)?;
            self.out.spacer();
            let names = ("Revised Cluster Status", "revised_cluster_status");
            self.show_status(names, cib, &plan, false);
        }
        Ok(())
    }

    /// The time of the simulation, and where it comes from (Pacemaker
    /// pcmk_simulate.c:set_effective_date).
    fn set_now(&mut self, cib: &Element) {
        let said = if let Some((text, at)) = &self.wanted.date {
            self.now = *at;
            format!("Setting effective cluster time: {text}")
        } else if let Some(at) = source::decided_at(cib) {
            self.now = at;
            let stamp = jiff::Timestamp::from_second(at).unwrap_or_default();
            let when = stamp.strftime("%Y-%m-%d %H:%M:%SZ");
            format!("Using the original execution date of: {when}")
        } else {
            self.now = source::now_s();
            return;
        };
        if !self.wanted.quiet {
            self.out.info(&said);
        }
    }

    fn plan(&self, cib: &Element, console: &mut Console) -> Result<Plan, Failure> {
        let options = scheduler::Options { now: self.now };
        let plan = scheduler::schedule_for(cib, &options, self.wanted.asked());
        if self.wanted.verbose {
            tell_findings(cib, console);
            for text in &plan.errors {
                console.err_line(&format!("error: {text}"));
            }
            for text in &plan.warnings {
                console.err_line(&format!("warning: {text}"));
            }
        }
        match plan.refused {
            Some(reason) => Err(Failure::new(Exit::DataErr, reason)),
            None => Ok(plan),
        }
    }

    fn show_before(&mut self, cib: &Element, plan: &Plan) {
        let options = scheduler::options_in_force(cib, self.now);
        let value = options.get("maintenance-mode");
        if value.is_some_and(|v| cib::value::parse_bool(v).unwrap_or(false)) {
            self.out.info(MAINTENANCE);
            self.out.spacer();
        }
        let view::Counts {
            configured: all,
            disabled,
            blocked,
            ..
        } = view::count(&plan.resources);
        if disabled > 0 || blocked > 0 {
            self.out.info(&format!(
                "{disabled} of {all} resource instances DISABLED and {blocked} BLOCKED from further action due to failure"
            ));
            self.out.spacer();
        }
        self.show_status(
            ("Current cluster status", "cluster_status"),
            cib,
            plan,
            true,
        );
    }

    fn show_status(
        &mut self,
        (title, tag): (&str, &str),
        cib: &Element,
        plan: &Plan,
        pending: bool,
    ) {
        let (attributes, failcounts) = (self.wanted.attributes, self.wanted.failcounts);
        // Neither attributes nor fail counts ask for the time.
        let view = (attributes || failcounts).then(|| Status::of_cib(cib, plan, 0));
        let view = view.unwrap_or_default();
        if self.out.is_xml() {
            let more = xml::more(&view, attributes, failcounts);
            let resources = parts::resources(&plan.resources, &plan.nodes, pending);
            let mut status = Element::new(tag)
                .child(parts::nodes(&plan.nodes))
                .child(resources);
            status.children.extend(more);
            self.out.element(status);
        } else {
            let more = text::more(&view, attributes, failcounts);
            let look = Look::all(&plan.nodes, pending);
            let none = Element::default;
            self.out.list(title, none(), |out| {
                out.list("Node List", none(), |out| list::show_nodes(out, look));
                out.spacer();
                out.list("Full List of Resources", none(), |out| {
                    list::show_resources(out, &plan.resources, look, false);
                });
                out.sections(&more);
            });
        }
    }

    fn inject(&mut self, cib: &mut Element, known: &[ResourceStatus], console: &mut Console) {
        let mut unseen = Printer::new(Form::Fancy, Element::default());
        let out = match self.wanted.quiet {
            true => &mut unseen,
            false => &mut self.out,
        };
        let wrong = self.wanted.injections.apply(cib, known, self.now, out);
        console.print(&self.out.take());
        for text in wrong {
            console.err_line(&text);
        }
    }

    fn show_scores(&mut self, plan: &Plan) {
        if !self.wanted.scores && !self.wanted.utilization {
            return;
        }
        if !self.wanted.quiet {
            self.out.spacer();
        }
        let shown = plan
            .scores
            .iter()
            .filter(|score| match score.is_utilization() {
                true => self.wanted.utilization,
                false => self.wanted.scores,
            });
        let tag = match (self.wanted.scores, self.wanted.utilization) {
            (true, true) => "allocations_utilizations",
            (false, true) => "utilizations",
            (_, false) => "allocations",
        };
        let out = &mut self.out;
        out.list("Assignment Scores", Element::new(tag), |out| {
            for score in shown {
                out.item(&score.to_string(), || score_xml(score));
            }
        });
        if self.wanted.quiet && self.wanted.simulate {
            self.out.spacer();
        }
    }

    fn save_graph(&self, cib: &Element, plan: &Plan) -> Result<(), Failure> {
        if let Some(file) = &self.wanted.save_graph {
            let options = scheduler::options_in_force(cib, self.now);
            write(file, &cib::xml::format(&graph_xml(&options, plan)))?;
        }
        if let Some(file) = &self.wanted.save_dot {
            let (all, numbers) = (self.wanted.all_actions, self.wanted.verbose);
            write(file, &dot::text(&plan.drafts, all, numbers))?;
        }
        Ok(())
    }

    fn show_summary(&mut self, plan: &Plan) {
        self.out.spacer();
        let lines = summary::aligned(&plan.summary);
        self.out
            .list("Transition Summary", Element::new("actions"), |out| {
                for line in &lines {
                    out.item(line, || summary::xml(line));
                }
            });
    }

    fn execute(&mut self, cib: &mut Element, plan: &Plan) {
        let paper = execute::Paper {
            graph: &plan.graph,
            names: execute::names(plan),
            failures: &self.wanted.failures,
            now: self.now,
        };
        let title = "Executing Cluster Transition";
        let complete = &mut self.complete;
        if self.wanted.quiet {
            let mut unseen = Printer::new(Form::Fancy, Element::default());
            *complete = paper.execute(cib, &mut unseen);
            return;
        }
        self.out.list(title, Element::new("transition"), |out| {
            *complete = paper.execute(cib, out);
        });
    }
}

/// No cluster would take what the schema refuses, so a plan for it would say nothing (Pacemaker
/// crm_simulate.c: cli_config_update).
fn must_conform(cib: &Element) -> Result<(), Failure> {
    let refused = |text: String| Failure {
        exit: Exit::Config,
        text,
        cure: Some("`crm_verify -V` tells everything that is wrong".to_owned()),
    };
    let cib = cib::Cib::from_element(cib.clone()).map_err(|e| refused(e.to_string()))?;
    let faults: Vec<String> = cib::check::malformed(&cib)
        .iter()
        .map(describe_finding)
        .collect();
    match faults.is_empty() {
        true => Ok(()),
        false => Err(refused(faults.join("\n"))),
    }
}

/// What the scheduler ignores without a word because the check of the configuration tells of it.
fn tell_findings(cib: &Element, console: &mut Console) {
    let Ok(cib) = cib::Cib::from_element(cib.clone()) else {
        return;
    };
    for finding in cib::check::verify(&cib) {
        let word = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Notice => continue,
        };
        console.err_line(&format!("{word}: {}", describe_finding(&finding)));
    }
}

fn score_xml(score: &Score) -> Element {
    let amounts = |mut told: Element, amounts: &[(String, i64)]| {
        let amounts = amounts.iter();
        let amounts = amounts.map(|(name, amount)| xml::with_text(name, &amount.to_string()));
        told.children.extend(amounts);
        told
    };
    match score {
        Score::Assignment {
            stage,
            resource,
            node,
            score,
        } => Element::new("node_weight")
            .with("function", stage)
            .with("node", node)
            .with("score", &scheduler::readable(*score))
            .with("id", resource),
        Score::Promotion {
            resource,
            node,
            score,
        } => {
            let xml = Element::new("promotion_score").with("id", resource);
            let xml = xml.with("score", &scheduler::readable(*score));
            node.as_ref()
                .map_or(xml.clone(), |node| xml.with("node", node))
        }
        Score::Capacity {
            when,
            node,
            amounts: of,
        } => {
            let xml = Element::new("capacity").with("node", node);
            amounts(xml.with("comment", when), of)
        }
        Score::Utilization {
            stage,
            resource,
            node,
            amounts: of,
        } => {
            let xml = Element::new("utilization").with("resource", resource);
            amounts(xml.with("node", node).with("function", stage), of)
        }
    }
}

fn write(file: &str, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text).map_err(|e| Failure::new(Exit::CantCreat, format!("{file}: {e}")))
}

/// What forbids the cluster to act (Pacemaker pe_output.c:cluster_maint_mode_text).
const MAINTENANCE: &str = "
              *** Resource management is DISABLED ***
  The cluster will not attempt to start, stop or recover services";
const NO_SCHEMA: &str = "Schema validation of configuration is disabled (support for validate-with set to \"none\" is deprecated and will be removed in a future release)";
