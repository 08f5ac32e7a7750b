//! What the fuzzers found worth keeping, run as ordinary tests, and as much random noise.

/// Every kept input of every target; one that fails is printed by libFuzzer's name for it.
#[test]
fn everything_kept_is_survived() {
    for (name, run) in fuzz::TARGETS {
        let inputs = fuzz::corpus(name).unwrap();
        assert!(!inputs.is_empty(), "{name}: nothing is kept");
        for input in &inputs {
            let line = fuzz::hex(input);
            let outcome = std::panic::catch_unwind(|| run(input));
            assert!(outcome.is_ok(), "{name}: fails with {line}");
        }
        println!("{name}: {} inputs", inputs.len());
    }
}

/// A kept input with one byte changed, cut off or repeated: a fuzzer's first steps.
#[test]
fn neighbours_of_what_is_kept_are_survived() {
    let mut random = 0x9e37_79b9_u64;
    let mut draw = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize % below.max(1)
    };
    for (name, run) in fuzz::TARGETS {
        // Those of the store make files.
        let rounds = if SLOW.contains(name) { 1 } else { 8 };
        for input in fuzz::corpus(name).unwrap() {
            for _ in 0..rounds {
                let mut near = input.clone();
                let at = draw(near.len());
                match draw(3) {
                    0 => near.truncate(at),
                    1 => near.extend_from_slice(&input[at.min(input.len())..]),
                    _ => near
                        .iter_mut()
                        .skip(at)
                        .take(1)
                        .for_each(|b| *b ^= 1 << (at % 8)),
                }
                let line = fuzz::hex(&near);
                let outcome = std::panic::catch_unwind(|| run(&near));
                assert!(outcome.is_ok(), "{name}: fails with {line}");
            }
        }
    }
}

/// Targets that open a store for each input.
const SLOW: [&str; 2] = ["slot", "import"];
