//! Scores: integers that saturate at ±1 000 000, where minus infinity wins over plus infinity.

/// "Infinity" (Pacemaker `PCMK_SCORE_INFINITY`).
pub(crate) const INFINITY: i32 = 1_000_000;

/// Adds two scores (Pacemaker scores.c:pcmk__add_scores).
pub(crate) fn add(a: i32, b: i32) -> i32 {
    if a <= -INFINITY || b <= -INFINITY {
        return -INFINITY;
    }
    if a >= INFINITY || b >= INFINITY {
        return INFINITY;
    }
    // Both are within ±10^6 here, so the sum cannot overflow.
    (a + b).clamp(-INFINITY, INFINITY)
}

/// Parses a score: an integer, `[+-]INFINITY`, or one of the health words.
/// `None` when it is neither.
pub(crate) fn parse(text: &str) -> Option<i32> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("INFINITY") || text.eq_ignore_ascii_case("+INFINITY") {
        return Some(INFINITY);
    }
    if text.eq_ignore_ascii_case("-INFINITY") || text.eq_ignore_ascii_case("red") {
        return Some(-INFINITY);
    }
    if text.eq_ignore_ascii_case("yellow") || text.eq_ignore_ascii_case("green") {
        return Some(0);
    }
    let value = leading_integer(text)?;
    let limit = i64::from(INFINITY);
    // In range after the clamp.
    Some(value.clamp(-limit, limit) as i32)
}

/// `100 * (score / infinity)` arithmetic of colocations: a factor in C `float`, the product
/// rounded half away from zero; a product of two non-zero values never becomes zero
/// (Pacemaker pcmk_sched_colocation.c:add_node_scores_matching_attr).
pub(crate) fn scale(factor: f32, score: i32) -> i32 {
    let product = factor * score as f32;
    let rounded = if product < 0.0 {
        (f64::from(product) - 0.5) as i32
    } else {
        (f64::from(product) + 0.5) as i32
    };
    if rounded == 0 && score != 0 {
        if factor > 0.0 {
            return 1;
        }
        if factor < 0.0 {
            return -1;
        }
    }
    rounded
}

/// The factor of a colocation with this score.
pub(crate) fn factor(score: i32) -> f32 {
    score as f32 / INFINITY as f32
}

/// Leading decimal integer of a text, as `strtoll` reads it; saturating.
pub(crate) fn leading_integer(text: &str) -> Option<i64> {
    let text = text.trim_start();
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let mut value: i64 = 0;
    let mut any = false;
    for byte in digits.bytes().take_while(u8::is_ascii_digit) {
        any = true;
        value = value
            .saturating_mul(10)
            .saturating_add(i64::from(byte - b'0'));
    }
    any.then_some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minus_infinity_wins() {
        assert_eq!(add(INFINITY, -INFINITY), -INFINITY);
        assert_eq!(add(INFINITY, -5), INFINITY);
        assert_eq!(add(999_999, 5), INFINITY);
        assert_eq!(add(3, 4), 7);
    }

    #[test]
    fn words_and_numbers() {
        for (text, want) in [
            ("INFINITY", Some(INFINITY)),
            ("-infinity", Some(-INFINITY)),
            ("+INFINITY", Some(INFINITY)),
            ("99999999999999999999", Some(INFINITY)),
            ("-7", Some(-7)),
            ("green", Some(0)),
            ("red", Some(-INFINITY)),
            ("", None),
            ("many", None),
        ] {
            assert_eq!(parse(text), want, "{text}");
        }
    }

    #[test]
    fn small_products_stay_non_zero() {
        assert_eq!(scale(factor(1), 1), 1);
        assert_eq!(scale(factor(-1), 1), -1);
        assert_eq!(scale(factor(INFINITY), 100), 100);
        assert_eq!(scale(factor(500_000), 5), 3);
    }
}
