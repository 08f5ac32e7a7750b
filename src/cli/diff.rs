//! The difference of two texts, line by line, with a few lines around it.

/// Lines of `old` that went (`-`) and lines of `new` that came (`+`), each change with up to
/// [`CONTEXT`] lines that are in both; parts that are far from any change are left out (`…`).
/// Empty when the texts are equal.
#[must_use]
pub(crate) fn unified(old: &str, new: &str) -> String {
    let lines = compare(
        &old.lines().collect::<Vec<_>>(),
        &new.lines().collect::<Vec<_>>(),
    );
    let changed: Vec<usize> = (0..lines.len()).filter(|i| lines[*i].0 != ' ').collect();
    let near = |i: usize| {
        let at = changed.partition_point(|c| c + CONTEXT < i);
        changed.get(at).is_some_and(|c| *c <= i + CONTEXT)
    };
    let mut text = String::new();
    let mut left_out = false;
    for (i, (mark, line)) in lines.iter().enumerate() {
        if !near(i) {
            left_out = true;
            continue;
        }
        if std::mem::take(&mut left_out) {
            text.push_str("…\n");
        }
        text.push_str(&format!("{mark}{line}\n"));
    }
    text
}

/// Every line with its mark, in an order that has the longest part in common.
fn compare<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    let start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[start..], &new[start..]);
    let ends = old_rest.iter().rev().zip(new_rest.iter().rev());
    let end = ends.take_while(|(a, b)| a == b).count();
    let (a, b) = (
        &old_rest[..old_rest.len() - end],
        &new_rest[..new_rest.len() - end],
    );
    let mut lines: Vec<(char, &str)> = old[..start].iter().map(|l| (' ', *l)).collect();
    if a.len().saturating_mul(b.len()) > CELLS_MAX {
        lines.extend(a.iter().map(|l| ('-', *l)));
        lines.extend(b.iter().map(|l| ('+', *l)));
    } else {
        middle(a, b, &mut lines);
    }
    lines.extend(old_rest[old_rest.len() - end..].iter().map(|l| (' ', *l)));
    lines
}

/// The longest common subsequence, by the table of its lengths.
fn middle<'a>(a: &[&'a str], b: &[&'a str], lines: &mut Vec<(char, &'a str)>) {
    let width = b.len() + 1;
    let mut common = vec![0_u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i * width + j] = if a[i] == b[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            lines.push((' ', a[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len()
            || (i < a.len() && common[(i + 1) * width + j] >= common[i * width + j + 1])
        {
            lines.push(('-', a[i]));
            i += 1;
        } else {
            lines.push(('+', b[j]));
            j += 1;
        }
    }
}

/// Lines around a change.
const CONTEXT: usize = 3;
/// Cells of the table; beyond them everything between the equal ends counts as changed.
const CELLS_MAX: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_stand_among_their_neighbours() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
        let new = "a\nb\nc\nd\nE\nf\ng\nh\ni\nj\nk\n";
        assert_eq!(
            unified(old, new),
            "…\n b\n c\n d\n-e\n+E\n f\n g\n h\n i\n j\n+k\n"
        );
        assert_eq!(unified(old, old), "");
        assert_eq!(unified("", "x\n"), "+x\n");
    }

    proptest::proptest! {
        #[test]
        fn the_marks_lead_from_one_text_to_the_other(
            old in proptest::collection::vec("[a-c]", 0..12),
            new in proptest::collection::vec("[a-c]", 0..12),
        ) {
            let (a, b): (Vec<&str>, Vec<&str>) = (
                old.iter().map(String::as_str).collect(),
                new.iter().map(String::as_str).collect(),
            );
            let lines = compare(&a, &b);
            let side = |not: char| -> Vec<&str> {
                lines.iter().filter(|(m, _)| *m != not).map(|(_, l)| *l).collect()
            };
            proptest::prop_assert_eq!(side('+'), a);
            proptest::prop_assert_eq!(side('-'), b);
        }
    }
}
