//! The parts of a bundle: for each replica a container, perhaps an address and a connection; and
//! the clone of what runs inside (Pacemaker bundle.c).
//!
//! They are written below the `bundle` element: one `replica` element each, with a `primitive`
//! child for each part, and one `clone`.

use super::{Connection, connection, operation, primitive, set};
use cib::Element;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Port of the remote daemon (Pacemaker DEFAULT_REMOTE_PORT).
const PORT_DEFAULT: &str = "3121";
/// Where the key lies on hosts, and inside containers.
const KEY_FILE: &str = "/etc/pacemaker/authkey";
/// Where containers' logs lie on hosts.
const LOG_FOLDER: &str = "/var/log/pacemaker/bundles";
/// What runs in containers, so that the cluster reaches what is inside.
const DAEMON: &str = "/usr/sbin/pacemaker-remoted";

/// What the `bundle` element says.
struct Bundle {
    prefix: String,
    agent: &'static str,
    replicas: u32,
    per_host: u32,
    promoted_max: u32,
    /// Own attributes of `docker` or `podman`, and of `network`.
    container: Element,
    network: Element,
    mounts: Vec<Mount>,
    ports: Vec<(String, String)>,
    inner: Option<Element>,
}

struct Mount {
    source: String,
    target: String,
    options: Option<String>,
    by_replica: bool,
}

/// How many replicas a bundle shall have.
pub(super) fn replica_count(element: &Element) -> usize {
    let replicas = Bundle::parse(element).map_or(1, |bundle| bundle.replicas);
    usize::try_from(replicas).unwrap_or(usize::MAX)
}

/// Adds the parts to a bundle; one that cannot be used is left without.
pub(super) fn expand(element: &mut Element, taken: &BTreeSet<String>) {
    let Some(bundle) = Bundle::parse(element) else {
        return;
    };
    let addresses = bundle.addresses();
    let hosts: String = addresses
        .iter()
        .enumerate()
        .map(|(offset, ip)| bundle.host_option(offset, ip.as_deref()))
        .collect();
    for (offset, ip) in addresses.iter().enumerate() {
        let replica = bundle.replica(offset, ip.as_deref(), &hosts, taken);
        element.children.push(replica);
    }
    element.children.extend(bundle.inner_clone());
}

impl Bundle {
    fn parse(element: &Element) -> Option<Self> {
        let (agent, container) = ["docker", "podman"]
            .into_iter()
            .find_map(|agent| Some((agent, element.first(agent)?)))?;
        let number = |name: &str| container.attr(name).and_then(|v| v.trim().parse().ok());
        let promoted_max: u32 = number("promoted-max")
            .or_else(|| number("masters"))
            .unwrap_or(0);
        let replicas = container
            .attr("replicas")
            .and_then(|v| v.trim().parse::<i64>().ok());
        let replicas = replicas.map_or(promoted_max, |wanted| {
            u32::try_from(wanted.max(0)).unwrap_or(u32::MAX)
        });
        let network = element.first("network").cloned().unwrap_or_default();
        let inner = element.first("primitive").cloned();
        let mut made = Self {
            prefix: element.id()?.to_owned(),
            agent,
            replicas: replicas.max(1),
            per_host: number("replicas-per-host").unwrap_or(1).max(1),
            promoted_max,
            container: container.clone(),
            mounts: mounts(element),
            ports: ports(&network),
            network,
            inner,
        };
        if made.inner.is_some() {
            made.reach_inside()?;
        }
        Some(made)
    }

    /// What the cluster needs to control what runs inside.
    fn reach_inside(&mut self) -> Option<()> {
        let control = self.network.attr("control-port").map(str::to_owned);
        if self.network.attr("ip-range-start").is_none() {
            // Without addresses of their own two replicas on a host would collide.
            control.as_ref()?;
            self.per_host = 1;
        }
        self.mounts.push(Mount {
            source: KEY_FILE.to_owned(),
            target: KEY_FILE.to_owned(),
            options: None,
            by_replica: false,
        });
        if !self.mounts.iter().any(|mount| mount.target == "/var/log") {
            self.mounts.push(Mount {
                source: LOG_FOLDER.to_owned(),
                target: "/var/log".to_owned(),
                options: None,
                by_replica: true,
            });
        }
        let port = control.unwrap_or_else(|| PORT_DEFAULT.to_owned());
        self.ports.push((port.clone(), port));
        Some(())
    }

    fn addresses(&self) -> Vec<Option<String>> {
        let mut next = self.network.attr("ip-range-start").map(str::to_owned);
        (0..self.replicas)
            .map(|_| {
                let this = next.take();
                next = this.as_deref().and_then(next_ip);
                this
            })
            .collect()
    }

    /// Names of the other replicas, for containers with addresses.
    fn host_option(&self, offset: usize, ip: Option<&str>) -> String {
        let no = ["false", "off", "no", "n", "0"];
        let add = self.network.attr("add-host").unwrap_or("true");
        let Some(ip) = ip else {
            return String::new();
        };
        if no.iter().any(|word| add.eq_ignore_ascii_case(word)) {
            format!(" --hosts-entry={ip}={}-{offset}", self.prefix)
        } else {
            format!(" --add-host={}-{offset}:{ip}", self.prefix)
        }
    }

    fn replica(
        &self,
        offset: usize,
        ip: Option<&str>,
        hosts: &str,
        taken: &BTreeSet<String>,
    ) -> Element {
        let mut replica = Element::new("replica").with("offset", &offset.to_string());
        let container = self.container_resource(offset, ip, hosts);
        let container_id = container.id().unwrap_or_default().to_owned();
        replica = replica.child(container);
        if let Some(ip) = ip {
            replica.set("ip", ip);
            replica = replica.child(self.address_resource(offset, ip));
        }
        if let Some(inner) = &self.inner {
            let mut name = format!("{}-{offset}", self.prefix);
            if taken.contains(&name) {
                let id = inner.id().unwrap_or_default();
                name = format!("pcmk-internal-{id}:{offset}-remote-{offset}");
            }
            replica = replica.child(connection(&Connection {
                name: &name,
                container: &container_id,
                meta: &[],
                start_timeout: None,
                address: Some(ip.unwrap_or("#uname")),
                port: Some(self.network.attr("control-port").unwrap_or(PORT_DEFAULT)),
            }));
        }
        replica
    }

    fn address_resource(&self, offset: usize, ip: &str) -> Element {
        let id = sanitized(&format!("{}-ip-{ip}", self.prefix));
        let mut params = vec![("ip", ip)];
        if let Some(nic) = self.network.attr("host-interface") {
            params.push(("nic", nic));
        }
        let mask = self.network.attr("host-netmask").unwrap_or("32");
        params.push(("cidr_netmask", mask));
        let set_id = format!("{}-ip-{offset}", self.prefix);
        primitive(&id, "heartbeat", "IPaddr2")
            .child(set("instance_attributes", &set_id, &params))
            .child(Element::new("operations").child(operation(&id, "monitor", "60s", None)))
    }

    fn container_resource(&self, offset: usize, ip: Option<&str>, hosts: &str) -> Element {
        let id = sanitized(&format!("{}-{}-{offset}", self.prefix, self.agent));
        let attr = |name: &str| self.container.attr(name);
        let options = self.run_options(offset, ip, hosts);
        let folders: Vec<String> = self
            .mounts
            .iter()
            .filter(|mount| mount.by_replica)
            .map(|mount| self.source_of(mount, offset))
            .collect();
        let folders = folders.join(",");
        let mut params = Vec::new();
        if let Some(image) = attr("image") {
            params.push(("image", image));
        }
        params.extend([
            ("allow_pull", "true"),
            ("force_kill", "false"),
            ("reuse", "false"),
            ("run_opts", options.as_str()),
            ("mount_points", folders.as_str()),
        ]);
        let command = attr("run-command").or(self.inner.as_ref().map(|_| DAEMON));
        if let Some(command) = command {
            params.push(("run_cmd", command));
        }
        params.push(("monitor_cmd", "/bin/true"));
        let set_id = format!("{}-{offset}", self.prefix);
        primitive(&id, "heartbeat", self.agent)
            .child(set("instance_attributes", &set_id, &params))
            .child(Element::new("operations").child(operation(&id, "monitor", "60s", None)))
    }

    fn source_of(&self, mount: &Mount, offset: usize) -> String {
        if mount.by_replica {
            format!("{}/{}-{offset}", mount.source, self.prefix)
        } else {
            mount.source.clone()
        }
    }

    /// The very text counts: it is part of recorded digests
    /// (Pacemaker bundle.c:create_container_resource).
    fn run_options(&self, offset: usize, ip: Option<&str>, hosts: &str) -> String {
        let mut text = String::new();
        if self.agent == "docker" {
            text.push_str(" --restart=no");
        }
        if self.network.attr("ip-range-start").is_some() {
            let _ = write!(text, " -h {}-{offset}", self.prefix);
        }
        text.push_str(" -e PCMK_stderr=1");
        let network = self.container.attr("network");
        if let Some(network) = network {
            let _ = write!(text, " --net={network}");
        }
        let port = self.network.attr("control-port").unwrap_or(PORT_DEFAULT);
        let _ = write!(text, " -e PCMK_remote_port={port}");
        for mount in &self.mounts {
            let _ = write!(
                text,
                " -v {}:{}",
                self.source_of(mount, offset),
                mount.target
            );
            if let Some(options) = &mount.options {
                let _ = write!(text, ":{options}");
            }
        }
        for (source, target) in &self.ports {
            if let Some(ip) = ip {
                let _ = write!(text, " -p {ip}:{source}:{target}");
            } else if network != Some("host") {
                let _ = write!(text, " -p {source}:{target}");
            }
        }
        if let Some(options) = self.container.attr("options") {
            let _ = write!(text, " {options}");
        }
        let _ = write!(text, " {hosts}");
        text
    }

    /// Pacemaker bundle.c:unpack_bundle_primitive.
    fn inner_clone(&self) -> Option<Element> {
        let inner = self.inner.clone()?;
        let suffix = if self.promoted_max > 0 {
            "master"
        } else {
            "clone"
        };
        let id = format!("{}-{suffix}", self.prefix);
        let (max, per_host) = (self.replicas.to_string(), self.per_host.to_string());
        let unique = (self.per_host > 1).to_string();
        let promoted = self.promoted_max.to_string();
        let mut meta = vec![
            ("ordered", "true"),
            ("clone-max", max.as_str()),
            ("clone-node-max", per_host.as_str()),
            ("globally-unique", unique.as_str()),
        ];
        if self.promoted_max > 0 {
            meta.extend([("promotable", "true"), ("promoted-max", promoted.as_str())]);
        }
        Some(
            Element::new("clone")
                .with("id", &id)
                .child(set("meta_attributes", &id, &meta))
                .child(inner),
        )
    }
}

fn mounts(bundle: &Element) -> Vec<Mount> {
    let storage = bundle.first("storage");
    let mappings = storage.iter().flat_map(|s| s.all("storage-mapping"));
    mappings
        .filter_map(|mapping| {
            let (own, root) = (mapping.attr("source-dir"), mapping.attr("source-dir-root"));
            Some(Mount {
                source: own.or(root)?.to_owned(),
                target: mapping.attr("target-dir")?.to_owned(),
                options: mapping.attr("options").map(str::to_owned),
                by_replica: own.is_none(),
            })
        })
        .collect()
}

fn ports(network: &Element) -> Vec<(String, String)> {
    network
        .all("port-mapping")
        .filter_map(|mapping| {
            let port = mapping.attr("port");
            let source = port.or_else(|| mapping.attr("range"))?;
            let target = port.and_then(|_| mapping.attr("internal-port"));
            Some((source.to_owned(), target.unwrap_or(source).to_owned()))
        })
        .collect()
}

/// The next address of a range (Pacemaker bundle.c:next_ip).
fn next_ip(last: &str) -> Option<String> {
    let mut octets = last
        .split('.')
        .map(|octet| octet.trim().parse::<u32>().ok());
    let mut octet = || octets.next().flatten();
    let (a, b, c, d) = (octet()?, octet()?, octet()?, octet()?);
    if c > 253 {
        return None;
    }
    let (c, d) = if d > 253 { (c + 1, 1) } else { (c, d + 1) };
    Some(format!("{a}.{b}.{c}.{d}"))
}

/// Colons are not allowed in ids (Pacemaker pcmk__xml_sanitize_id).
fn sanitized(id: &str) -> String {
    id.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') {
                c
            } else {
                '.'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_go_on_in_the_next_network() {
        for (last, next) in [
            ("192.168.122.131", Some("192.168.122.132")),
            ("10.0.0.254", Some("10.0.1.1")),
            ("10.0.254.9", None),
            ("fe80::1", None),
        ] {
            assert_eq!(next_ip(last).as_deref(), next, "{last}");
        }
    }
}
