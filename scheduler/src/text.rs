//! Reading the small languages of attribute values: booleans, times, operation keys, names.

use std::cmp::Ordering;

/// `true`, `on`, `yes`, `y`, `1` (Pacemaker strings.c:crm_str_to_boolean).
pub(crate) fn is_true(text: Option<&str>) -> bool {
    parse_bool(text) == Some(true)
}

/// A boolean in any of the accepted spellings.
pub(crate) fn parse_bool(text: Option<&str>) -> Option<bool> {
    let text = text?;
    let any = |words: &[&str]| words.iter().any(|w| text.eq_ignore_ascii_case(w));
    if any(&["true", "on", "yes", "y", "1"]) {
        Some(true)
    } else if any(&["false", "off", "no", "n", "0"]) {
        Some(false)
    } else {
        None
    }
}

/// A time as the configuration writes it ([`cib::value::parse_interval_ms`]), in milliseconds.
/// `None` when it is none.
pub(crate) fn parse_ms(text: &str) -> Option<u64> {
    cib::value::parse_interval_ms(text).ok()
}

/// `RESOURCE_OPERATION_INTERVAL`. Every action has one, and nearly all have the interval 0.
pub(crate) fn op_key(resource: &str, operation: &str, interval_ms: u64) -> String {
    let length = resource.len() + operation.len() + INTERVAL_DIGITS_USUAL;
    let mut key = String::with_capacity(length);
    key.push_str(resource);
    key.push('_');
    key.push_str(operation);
    match interval_ms {
        0 => key.push_str("_0"),
        _ => {
            key.push('_');
            key.push_str(&interval_ms.to_string());
        }
    }
    key
}

/// Room for the interval and what stands before it.
const INTERVAL_DIGITS_USUAL: usize = 8;

/// An id without its clone instance number: `web:1` -> `web`.
pub(crate) fn base_id(id: &str) -> &str {
    match id.rsplit_once(':') {
        Some((base, number))
            if !base.is_empty()
                && !number.is_empty()
                && number.bytes().all(|b| b.is_ascii_digit()) =>
        {
            base
        }
        _ => id,
    }
}

/// Display order of node names: case-insensitive, runs of digits by value
/// (Pacemaker strings.c:pcmk__numeric_strcasecmp).
pub(crate) fn cmp_names(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        if a[i].is_ascii_digit() && b[j].is_ascii_digit() {
            let (start_a, start_b) = (i, j);
            while i < a.len() && a[i].is_ascii_digit() {
                i += 1;
            }
            while j < b.len() && b[j].is_ascii_digit() {
                j += 1;
            }
            match cmp_digits(&a[start_a..i], &b[start_b..j]) {
                Ordering::Equal => continue,
                other => return other,
            }
        }
        match a[i].to_ascii_lowercase().cmp(&b[j].to_ascii_lowercase()) {
            Ordering::Equal => {
                i += 1;
                j += 1;
            }
            other => return other,
        }
    }
    (a.len() - i).cmp(&(b.len() - j))
}

fn cmp_digits(a: &[u8], b: &[u8]) -> Ordering {
    let strip = |digits: &[u8]| {
        let zeros = digits.iter().take_while(|d| **d == b'0').count();
        digits[zeros..].to_vec()
    };
    let (x, y) = (strip(a), strip(b));
    x.len()
        .cmp(&y.len())
        .then_with(|| x.cmp(&y))
        // Same value: more leading zeros sort later.
        .then_with(|| a.len().cmp(&b.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_number() {
        let mut names = vec!["node10", "Node9", "node1", "alpha", "node007"];
        names.sort_by(|a, b| cmp_names(a, b));
        assert_eq!(names, ["alpha", "node1", "node007", "Node9", "node10"]);
    }

    #[test]
    fn keys_name_resource_operation_and_interval() {
        assert_eq!(op_key("ip", "start", 0), "ip_start_0");
        assert_eq!(op_key("ip", "monitor", 10_000), "ip_monitor_10000");
    }

    #[test]
    fn instance_numbers_are_cut() {
        assert_eq!(base_id("web:12"), "web");
        assert_eq!(base_id("web"), "web");
        assert_eq!(base_id("a:b"), "a:b");
        assert_eq!(base_id(":1"), ":1");
    }
}
