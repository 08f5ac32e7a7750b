//! Which agents this machine has, by class and provider.

use crate::cli::exit::{Exit, Failure};
use crate::paths::Paths;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Looks agents up.
#[derive(Clone, Debug)]
pub(crate) struct Agents {
    paths: Paths,
}

/// An agent as a resource names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentName {
    /// `ocf`, `lsb`, `systemd`, `service`, `stonith`.
    pub class: String,
    /// OCF only.
    pub provider: Option<String>,
    /// The agent.
    pub kind: String,
    /// What was assumed, or is worth knowing.
    pub remark: Option<String>,
}

impl Agents {
    /// Agents below these paths.
    #[must_use]
    pub(crate) const fn new(paths: Paths) -> Self {
        Self { paths }
    }

    /// Classes that this machine can run.
    #[must_use]
    pub(crate) fn classes(&self) -> Vec<String> {
        let mut classes = vec!["lsb".to_owned()];
        let providers = self.providers();
        classes.push(
            format!("ocf / {}", providers.join(" "))
                .trim_end()
                .to_owned(),
        );
        classes.push("service".to_owned());
        classes.push("stonith".to_owned());
        if self.systemd() {
            classes.push("systemd".to_owned());
        }
        classes
    }

    /// OCF providers, those of natively served agents included.
    #[must_use]
    pub(crate) fn providers(&self) -> Vec<String> {
        let mut found: BTreeSet<String> =
            files(&self.ocf_dir(), Path::is_dir).into_iter().collect();
        found.insert(NATIVE_PROVIDER.to_owned());
        found.remove(".isolation");
        found.into_iter().collect()
    }

    /// Agents of a class (and provider).
    #[must_use]
    pub(crate) fn list(&self, class: &str, provider: Option<&str>) -> Vec<String> {
        let mut found: BTreeSet<String> = BTreeSet::new();
        match class {
            "ocf" => {
                let providers = match provider {
                    Some(one) => vec![one.to_owned()],
                    None => self.providers(),
                };
                for provider in providers {
                    found.extend(files(&self.ocf_dir().join(&provider), executable));
                    if provider == NATIVE_PROVIDER {
                        found.extend(NATIVE_AGENTS.map(str::to_owned));
                    }
                }
            }
            "stonith" => found.extend(
                files(&self.paths.fence_agents(), executable)
                    .into_iter()
                    .filter(|n| n.starts_with("fence_")),
            ),
            "lsb" => found.extend(files(&self.paths.init_d(), executable)),
            "systemd" => found.extend(self.units()),
            "service" => {
                found.extend(files(&self.paths.init_d(), executable));
                found.extend(self.units());
            }
            _ => {}
        }
        found.retain(|n| !n.starts_with('.') && !n.ends_with(".metadata"));
        found.into_iter().collect()
    }

    /// The file of an agent that is run from a file.
    #[must_use]
    pub(crate) fn file(&self, agent: &AgentName) -> Option<PathBuf> {
        let path = match agent.class.as_str() {
            "ocf" => self
                .ocf_dir()
                .join(agent.provider.as_deref()?)
                .join(&agent.kind),
            "lsb" => self.paths.init_d().join(&agent.kind),
            "stonith" => self.paths.fence_agents().join(&agent.kind),
            _ => return None,
        };
        path.exists().then_some(path)
    }

    /// Whether this node has it, as far as that can be told: units that are made as they are asked
    /// for are in no directory.
    pub(super) fn installed(&self, agent: &AgentName) -> bool {
        match agent.class.as_str() {
            "ocf" | "lsb" | "stonith" => is_native(agent) || self.file(agent).is_some(),
            "systemd" if self.systemd() && !agent.kind.contains('@') => {
                let unit = agent.kind.trim_end_matches(".service");
                self.units().iter().any(|u| u == unit)
            }
            _ => true,
        }
    }

    /// Reads `[CLASS:[PROVIDER:]]TYPE`; `ocf::provider:type` is the older spelling.
    ///
    /// # Errors
    /// Unknown classes, and names that are not of this form.
    pub(crate) fn resolve(&self, spec: &str) -> Result<AgentName, Failure> {
        let parts: Vec<&str> = spec.split(':').filter(|p| !p.is_empty()).collect();
        let fine = |name: &str| {
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | '\\');
            name.chars().all(plain) && !name.starts_with('.')
        };
        if !parts.iter().all(|p| fine(p)) {
            return Err(bad(
                spec,
                "an agent's name has letters, digits, `_`, `-` and `.`",
            ));
        }
        let (class, provider, kind) = match parts.as_slice() {
            [kind] => return Ok(self.ocf(None, kind)),
            ["ocf", kind] => return Ok(self.ocf(None, kind)),
            ["ocf", provider, kind] => return Ok(self.ocf(Some(provider), kind)),
            ["heartbeat", kind] => {
                return Err(bad(
                    spec,
                    &format!("the class heartbeat is gone: use ocf:heartbeat:{kind}"),
                ));
            }
            [class @ ("lsb" | "systemd" | "service" | "stonith"), kind] => (*class, None, *kind),
            ["stonith", provider, kind] => {
                return Err(bad(
                    spec,
                    &format!(
                        "fence agents have no provider: is it stonith:fence_{kind}? ({provider})"
                    ),
                ));
            }
            [class, ..] => {
                return Err(bad(
                    spec,
                    &format!(
                        "class {class} is unknown; there are ocf, lsb, systemd, service, stonith"
                    ),
                ));
            }
            [] => return Err(bad(spec, "it is empty")),
        };
        let agent = AgentName {
            class: class.to_owned(),
            provider,
            kind: kind.to_owned(),
            remark: None,
        };
        Ok(self.with_remark(agent))
    }

    fn ocf(&self, provider: Option<&str>, kind: &str) -> AgentName {
        let (found_provider, found) = self.find_ocf(provider, kind);
        let mut agent = AgentName {
            class: "ocf".to_owned(),
            provider: Some(found_provider),
            kind: found,
            remark: None,
        };
        if agent.kind != kind {
            agent.remark = Some(format!(
                "`{kind}` is taken for ocf:{}:{}",
                agent.provider.as_deref().unwrap_or_default(),
                agent.kind
            ));
            return agent;
        }
        self.with_remark(agent)
    }

    /// The provider and spelling under which an agent is found; as asked when it is not.
    fn find_ocf(&self, provider: Option<&str>, kind: &str) -> (String, String) {
        let providers = match provider {
            Some(one) => vec![one.to_owned()],
            None => {
                let mut all = self.providers();
                // heartbeat is the default, then pacemaker (crmsh ra.py, disambiguate_ra_type).
                all.sort_by_key(|p| match p.as_str() {
                    NATIVE_PROVIDER => 0,
                    "pacemaker" => 1,
                    _ => 2,
                });
                all
            }
        };
        for exact in [true, false] {
            for provider in &providers {
                let found = self.list("ocf", Some(provider)).into_iter().find(|name| {
                    if exact {
                        name == kind
                    } else {
                        name.eq_ignore_ascii_case(kind)
                    }
                });
                if let Some(found) = found {
                    return (provider.clone(), found);
                }
            }
        }
        let provider = provider.unwrap_or(NATIVE_PROVIDER);
        (provider.to_owned(), kind.to_owned())
    }

    fn with_remark(&self, mut agent: AgentName) -> AgentName {
        let native = is_native(&agent);
        if native && agent.kind == "IPaddr" {
            agent.remark = Some(
                "ocf:heartbeat:IPaddr is the older agent; ocf:heartbeat:IPaddr2 does the same and more. Without cidr_netmask the mask comes from the network the address belongs to".to_owned(),
            );
        } else if !native
            && agent.class != "systemd"
            && agent.class != "service"
            && self.file(&agent).is_none()
        {
            agent.remark = Some(format!("the agent {} {NOT_INSTALLED}", agent.spec()));
        }
        agent
    }

    fn ocf_dir(&self) -> PathBuf {
        self.paths.ocf_root().join("resource.d")
    }

    fn systemd(&self) -> bool {
        self.paths.root().join("run/systemd/system").is_dir()
    }

    fn units(&self) -> Vec<String> {
        let dirs = [
            "etc/systemd/system",
            "usr/lib/systemd/system",
            "lib/systemd/system",
        ];
        let mut found = Vec::new();
        for dir in dirs {
            let names = files(&self.paths.root().join(dir), |_| true);
            found.extend(
                names
                    .iter()
                    .filter_map(|n| n.strip_suffix(".service"))
                    .map(str::to_owned),
            );
        }
        found
    }
}

impl AgentName {
    /// `ocf:heartbeat:IPaddr2`.
    #[must_use]
    pub(crate) fn spec(&self) -> String {
        match &self.provider {
            Some(provider) => format!("{}:{provider}:{}", self.class, self.kind),
            None => format!("{}:{}", self.class, self.kind),
        }
    }

    /// A call of its file by hand, beside the cluster: an OCF agent's action on the resource `id`.
    #[must_use]
    pub(crate) fn call<'a>(
        &self,
        file: &Path,
        action: &str,
        id: &str,
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Command {
        let mut command = Command::new(file);
        command
            .arg(action)
            .env("OCF_ROOT", Paths::from_env().ocf_root())
            .env("OCF_RA_VERSION_MAJOR", "1")
            .env("OCF_RA_VERSION_MINOR", "1")
            .env("OCF_CHECK_LEVEL", "0")
            .env("OCF_RESOURCE_INSTANCE", id)
            .env("OCF_RESOURCE_TYPE", &self.kind)
            .env(
                "OCF_RESOURCE_PROVIDER",
                self.provider.as_deref().unwrap_or_default(),
            )
            .env("OCF_RESKEY_crm_feature_set", cib::document::FEATURE_SET);
        for (name, value) in parameters {
            command.env(format!("OCF_RESKEY_{name}"), value);
        }
        command
    }
}

fn bad(spec: &str, why: &str) -> Failure {
    Failure::new(Exit::DataErr, format!("agent `{spec}`: {why}"))
}

fn files(dir: &Path, fits: impl Fn(&Path) -> bool) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|e| fits(&e.path()))
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect()
}

fn executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

fn is_native(agent: &AgentName) -> bool {
    agent.provider.as_deref() == Some(NATIVE_PROVIDER)
        && NATIVE_AGENTS.contains(&agent.kind.as_str())
}

/// Provider of the agents that the daemon serves itself.
pub(crate) const NATIVE_PROVIDER: &str = "heartbeat";
/// Agents that the daemon serves itself.
pub(crate) const NATIVE_AGENTS: [&str; 5] = ["IPaddr", "IPaddr2", "IPsrcaddr", "IPv6addr", "Route"];
/// How the remark on an agent ends that is in no file here.
pub(super) const NOT_INSTALLED: &str = "is not installed on this node";
