//! Figures as a table: median, maximum, number, goal.

/// Samples of one figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    /// What was measured.
    pub(super) what: &'static str,
    /// Its unit.
    pub(super) unit: &'static str,
    /// Highest median that meets the goal, where there is one; with `worst` the highest maximum.
    pub(super) goal: Option<f64>,
    /// One sample beyond the goal misses it.
    pub(super) worst: bool,
    /// The samples, in the order of the runs.
    pub(super) samples: Vec<f64>,
}

impl Figure {
    pub(super) fn new(what: &'static str, unit: &'static str, goal: Option<f64>) -> Self {
        Self {
            what,
            unit,
            goal,
            worst: false,
            samples: Vec::new(),
        }
    }

    /// A figure that has to meet its goal every time.
    pub(super) fn worst(what: &'static str, unit: &'static str, goal: f64) -> Self {
        Self {
            worst: true,
            ..Self::new(what, unit, Some(goal))
        }
    }

    fn judged(&self) -> Option<f64> {
        if self.worst {
            self.max()
        } else {
            self.median()
        }
    }

    fn median(&self) -> Option<f64> {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        if sorted.len() % 2 == 1 {
            return Some(upper);
        }
        Some((sorted.get(middle.checked_sub(1)?)? + upper) / 2.0)
    }

    fn max(&self) -> Option<f64> {
        self.samples.iter().copied().max_by(f64::total_cmp)
    }

    /// True when there is no goal, or the median (the maximum) meets it.
    pub(super) fn met(&self) -> bool {
        match (self.goal, self.judged()) {
            (Some(goal), Some(judged)) => judged <= goal,
            (Some(_), None) => false,
            (None, _) => true,
        }
    }

    fn row(&self) -> String {
        let number = |value: Option<f64>| {
            value.map_or_else(
                || "-".to_owned(),
                |v| format!("{v:.*}", usize::from(v < 10.0) * 2),
            )
        };
        let goal = match self.goal {
            Some(goal) => {
                let verdict = if self.met() { "met" } else { "MISSED" };
                let what = if self.worst { "max" } else { "median" };
                let bound = format!("{what} <= {goal} {}", self.unit);
                format!("{}: {verdict}", bound.trim_end())
            }
            None => String::new(),
        };
        let row = format!(
            "{:<34} {:<5} {:>9} {:>9} {:>4}  {goal}",
            self.what,
            self.unit,
            number(self.median()),
            number(self.max()),
            self.samples.len()
        );
        row.trim_end().to_owned()
    }
}

/// The samples of one run in a line of text; of many only how many there are, and their median.
pub(super) fn words(figure: &Figure, samples: &[f64]) -> String {
    let of_run = Figure {
        samples: samples.to_vec(),
        ..figure.clone()
    };
    let (what, unit) = (figure.what, figure.unit);
    match (samples, of_run.median()) {
        (_, Some(median)) if samples.len() > SHOWN_MAX => {
            format!(" {what} {median:.1} {unit} (median of {})", samples.len())
        }
        _ => samples
            .iter()
            .map(|sample| format!(" {what} {sample:.1} {unit}"))
            .collect(),
    }
}

/// So many samples of a run are shown one by one.
const SHOWN_MAX: usize = 4;

/// The table.
pub(super) fn render(figures: &[Figure]) -> String {
    let mut text = format!(
        "{:<34} {:<5} {:>9} {:>9} {:>4}  goal\n",
        "", "unit", "median", "max", "n"
    );
    for figure in figures {
        text += &figure.row();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_median_maximum_number_and_verdict() {
        let figure = |samples: &[f64]| Figure {
            samples: samples.to_vec(),
            ..Figure::new("client outage", "ms", Some(700.0))
        };
        let row = figure(&[900.0, 400.0, 500.0]).row();
        assert_eq!(
            row.split_whitespace().collect::<Vec<_>>().join(" "),
            "client outage ms 500 900 3 median <= 700 ms: met"
        );
        assert_eq!(figure(&[1.0, 2.0, 3.0, 10.0]).median(), Some(2.5));
        assert!(!figure(&[701.0]).met());
        assert!(!figure(&[]).met());
        assert!(figure(&[]).row().contains("MISSED"));
        let mut every_time = Figure::worst("probes lost", "", 0.0);
        every_time.samples = vec![0.0, 0.0, 1.0];
        assert!(every_time.row().ends_with("max <= 0: MISSED"));
    }
}
