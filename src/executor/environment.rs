//! What agents find in their environment.
//!
//! Nothing is inherited: PATH, LANG, `OCF_*`, `HA_*`, `PCMK_*`, and what the service's environment
//! files add. The names are those of Pacemaker's executor (Pacemaker Administration, "Resource
//! agents"; lib/services/services_ocf.c and daemons/controld/controld_execd.c, `construct_op`).

use super::api::OpRequest;
use super::process::EXIT_REASON_PREFIX;
use crate::paths::Paths;
use std::collections::BTreeMap;

/// Pacemaker feature set that is claimed towards agents and in the CIB.
pub const FEATURE_SET: &str = "3.19.7";

/// The part that is the same for every agent on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseEnvironment {
    vars: BTreeMap<String, String>,
    ocf_root: String,
}

impl BaseEnvironment {
    /// PATH with our compat names first, logging variables, then `extra`, which wins.
    #[must_use]
    pub fn new(paths: &Paths, extra: &BTreeMap<String, String>) -> Self {
        let compat_bin = paths.compat_bin();
        let mut vars = BTreeMap::new();
        let mut set = |name: &str, value: String| vars.insert(name.to_owned(), value);
        set("PATH", format!("{}:{SYSTEM_PATH}", compat_bin.display()));
        set("LANG", "C".to_owned());
        set("LC_ALL", "C".to_owned());
        set("HA_debug", "0".to_owned());
        // `none` makes the agents' shell library write to stderr, which we capture, instead of
        // spawning logger(1) for every line.
        set("HA_logfacility", "none".to_owned());
        set("HA_LOGFACILITY", "none".to_owned());
        set("PCMK_logfacility", "none".to_owned());
        set("PCMK_service", "mainstayd".to_owned());
        if compat_bin.is_dir() {
            set("HA_SBIN_DIR", compat_bin.display().to_string());
        }
        for (name, value) in extra {
            if valid(name, value) {
                vars.insert(name.clone(), value.clone());
            }
        }
        Self {
            vars,
            ocf_root: paths.ocf_root().display().to_string(),
        }
    }

    /// For processes that are no OCF agents: fence agents, alert agents, init scripts.
    #[must_use]
    pub fn plain(&self) -> BTreeMap<String, String> {
        self.vars.clone()
    }

    /// For one run of an OCF agent.
    #[must_use]
    pub fn for_ocf(&self, request: &OpRequest) -> BTreeMap<String, String> {
        let mut env = self.plain();
        let mut set = |name: String, value: &str| {
            if valid(&name, value) {
                env.insert(name, value.to_owned());
            }
        };
        for (name, value) in meta_variables(request) {
            set(name, &value);
        }
        set("OCF_RESKEY_crm_feature_set".to_owned(), FEATURE_SET);
        for (name, value) in &request.params {
            // The one parameter that agents read without a prefix (OCF 1.1, 3.6).
            if name == "OCF_CHECK_LEVEL" {
                set(name.clone(), value);
            } else {
                set(format!("OCF_RESKEY_{name}"), value);
            }
        }
        set("OCF_ROOT".to_owned(), &self.ocf_root);
        set("OCF_RA_VERSION_MAJOR".to_owned(), "1");
        set("OCF_RA_VERSION_MINOR".to_owned(), "1");
        set("OCF_EXIT_REASON_PREFIX".to_owned(), EXIT_REASON_PREFIX);
        set("OCF_RESOURCE_TYPE".to_owned(), &request.kind);
        if let Some(provider) = &request.provider {
            set("OCF_RESOURCE_PROVIDER".to_owned(), provider);
        }
        let instance = if request.instance.is_empty() {
            &request.rsc
        } else {
            &request.instance
        };
        set("OCF_RESOURCE_INSTANCE".to_owned(), instance);
        env
    }
}

/// Reads the service's environment files; a missing one is empty. A line is `NAME=VALUE`, with
/// `export`, quotes and comments as shells take them; nothing is expanded.
#[must_use]
pub fn read_environment_files(paths: &Paths) -> BTreeMap<String, String> {
    let mut vars = BTreeMap::new();
    for path in paths.environment_files() {
        if let Ok(text) = std::fs::read_to_string(&path) {
            vars.extend(parse_environment(&text));
        }
    }
    vars
}

fn parse_environment(text: &str) -> Vec<(String, String)> {
    let mut vars = Vec::new();
    for line in text.lines().map(str::trim) {
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        if line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        let value = unquote(value.trim());
        if valid(name, &value) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            vars.push((name.to_owned(), value));
        }
    }
    vars
}

fn unquote(value: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote)
            && let Some(end) = inner.find(quote)
        {
            return inner[..end].to_owned();
        }
    }
    // An unquoted value ends where a comment begins.
    match value.find(" #") {
        Some(at) => value[..at].trim_end().to_owned(),
        None => value.to_owned(),
    }
}

/// `OCF_RESKEY_CRM_meta_*`, with the old promotable names beside the new ones: agents in the
/// field read `master` and `slave` (lib/pengine/pe_notif.c writes both too).
fn meta_variables(request: &OpRequest) -> BTreeMap<String, String> {
    let mut meta = BTreeMap::new();
    for (name, value) in &request.meta {
        if name.contains(['#', ':']) || name == "crm_feature_set" {
            continue;
        }
        meta.insert(name.replace('-', "_"), value.clone());
    }
    for (new, old) in OLD_META_NAMES {
        if let Some(value) = meta.get(*new).cloned() {
            meta.entry((*old).to_owned()).or_insert(value);
        }
    }
    let defaults = [
        ("name", request.operation.clone()),
        // `ocf_is_probe` compares with exactly `0`.
        ("interval", request.interval_ms.to_string()),
        ("timeout", request.timeout_ms.to_string()),
    ];
    for (name, value) in defaults {
        meta.entry(name.to_owned()).or_insert(value);
    }
    meta.into_iter()
        .map(|(name, value)| (format!("OCF_RESKEY_CRM_meta_{name}"), value))
        .collect()
}

/// What execve(2) can carry.
fn valid(name: &str, value: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
}

const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `(promoted name, name before Pacemaker 2.1)`.
const OLD_META_NAMES: &[(&str, &str)] = &[
    ("promoted_max", "master_max"),
    ("promoted_node_max", "master_node_max"),
    ("notify_promoted_resource", "notify_master_resource"),
    ("notify_promoted_uname", "notify_master_uname"),
    ("notify_unpromoted_resource", "notify_slave_resource"),
    ("notify_unpromoted_uname", "notify_slave_uname"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_files() {
        let text = "# comment
A=1
export B = no name with a blank
  C=\"two words\" # why
D='$HOME'
E=plain # comment
F=
not a line
G=#value
1-2=x
";
        let found = parse_environment(text);
        let found: Vec<(&str, &str)> = found.iter().map(|(n, v)| (&**n, &**v)).collect();
        let expect = [
            ("A", "1"),
            ("C", "two words"),
            ("D", "$HOME"),
            ("E", "plain"),
            ("F", ""),
            ("G", "#value"),
        ];
        assert_eq!(found, expect);
    }

    #[test]
    fn missing_files_are_empty_and_the_later_one_wins() {
        let dir = tempfile::TempDir::new().unwrap();
        let paths = Paths::below(dir.path());
        assert!(read_environment_files(&paths).is_empty());
        std::fs::create_dir_all(dir.path().join("etc/default")).unwrap();
        for (path, text) in paths.environment_files().iter().zip(["X=1\nY=1", "X=2"]) {
            std::fs::write(path, text).unwrap();
        }
        let found = read_environment_files(&paths);
        assert_eq!(found["X"], "2");
        assert_eq!(found["Y"], "1");
    }

    #[test]
    fn what_execve_cannot_carry_is_left_out() {
        let paths = Paths::below("/nowhere");
        let base = BaseEnvironment::new(&paths, &BTreeMap::new());
        let mut request = OpRequest::default();
        for (name, value) in [("", "x"), ("a=b", "x"), ("nul", "x\0y"), ("fine", "")] {
            request.params.insert(name.to_owned(), value.to_owned());
        }
        let env = base.for_ocf(&request);
        let names: Vec<&str> = env
            .keys()
            .filter_map(|name| name.strip_prefix("OCF_RESKEY_"))
            .filter(|name| !name.starts_with("CRM_meta") && *name != "crm_feature_set")
            .collect();
        // An empty parameter name is a name all the same.
        assert_eq!(names, ["", "fine"]);
    }
}
