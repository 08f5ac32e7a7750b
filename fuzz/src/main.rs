//! The fuzzer's program. Built by `scripts/fuzz` with coverage it is libFuzzer's; built plainly it
//! moves a corpus between its text file and libFuzzer's directory of files.
#![cfg_attr(feature = "libfuzzer", no_main)]

#[cfg(feature = "libfuzzer")]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    use std::sync::OnceLock;
    static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();
    let run = TARGET.get_or_init(|| {
        let name = std::env::var("MAINSTAY_FUZZ_TARGET").unwrap_or_default();
        fuzz::target(&name).expect("MAINSTAY_FUZZ_TARGET names a target of fuzz/src/lib.rs")
    });
    run(data);
});

#[cfg(not(feature = "libfuzzer"))]
fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["unpack", target, dir] => unpack(target, dir),
        ["pack", target, dir] => pack(target, dir),
        ["run", target, file] => run(target, file),
        _ => Err(format!(
            "usage: fuzz unpack|pack TARGET DIR, fuzz run TARGET FILE; targets: {}",
            names()
        )),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("fuzz: {why}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(feature = "libfuzzer"))]
fn names() -> String {
    let names: Vec<&str> = fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
    names.join(" ")
}

#[cfg(not(feature = "libfuzzer"))]
fn known(target: &str) -> Result<fn(&[u8]), String> {
    fuzz::target(target).ok_or_else(|| format!("no target {target}; there are: {}", names()))
}

#[cfg(not(feature = "libfuzzer"))]
fn unpack(target: &str, dir: &str) -> Result<(), String> {
    known(target)?;
    let told = |e: std::io::Error| format!("{dir}: {e}");
    std::fs::create_dir_all(dir).map_err(told)?;
    // A target that nothing was kept for yet starts from its seeds, or from nothing.
    let kept = fuzz::corpus(target).unwrap_or_default();
    for (name, inputs) in [("kept", kept), ("seed", fuzz::seeds(target))] {
        for (number, input) in inputs.iter().enumerate() {
            let file = std::path::Path::new(dir).join(format!("{name}-{number}"));
            std::fs::write(file, input).map_err(told)?;
        }
    }
    Ok(())
}

/// Short inputs first, and no more than fits a repository.
#[cfg(not(feature = "libfuzzer"))]
fn pack(target: &str, dir: &str) -> Result<(), String> {
    known(target)?;
    let told = |e: std::io::Error| format!("{dir}: {e}");
    let mut inputs = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(told)? {
        let path = entry.map_err(told)?.path();
        inputs.push(std::fs::read(path).map_err(told)?);
    }
    inputs.sort_by_key(|input| (input.len(), input.clone()));
    inputs.dedup();
    let mut text = String::new();
    for input in inputs {
        if text.len() + 2 * input.len() < CORPUS_BYTES_MAX {
            text += &fuzz::hex(&input);
            text.push('\n');
        }
    }
    let file = fuzz::corpus_file(target);
    std::fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))
}

#[cfg(not(feature = "libfuzzer"))]
fn run(target: &str, file: &str) -> Result<(), String> {
    let input = std::fs::read(file).map_err(|e| format!("{file}: {e}"))?;
    known(target)?(&input);
    Ok(())
}

/// Largest corpus of one target, as text, in bytes.
#[cfg(not(feature = "libfuzzer"))]
const CORPUS_BYTES_MAX: usize = 32 * 1024;
