//! `crm_master`: what agents of old call for a promotion score; `crm_attribute --promotion` today.

use super::crm_attribute;
use super::exit::Exit;

/// The whole program: as Pacemaker's script, it names the attribute after the resource and makes it
/// permanent unless the agent says otherwise.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    crm_attribute::main(&translated(args))
}

fn translated(args: &[String]) -> Vec<String> {
    let mut words = vec!["--lifetime=forever".to_owned()];
    let mut resource = String::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-r" | "--resource" => resource = args.next().cloned().unwrap_or_default(),
            other => match other.strip_prefix("--resource=") {
                Some(id) => resource = id.to_owned(),
                None => words.push(arg.clone()),
            },
        }
    }
    // Without a resource, crm_attribute looks for the agent's own.
    words.push(format!("--promotion={resource}"));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_becomes_the_promotion_scores() {
        let words = |line: &str| {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            translated(&args).join(" ")
        };
        assert_eq!(
            words("-l reboot -v 100"),
            "--lifetime=forever -l reboot -v 100 --promotion="
        );
        assert_eq!(words("-r db -D"), "--lifetime=forever -D --promotion=db");
    }
}
