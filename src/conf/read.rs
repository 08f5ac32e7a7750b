//! From syntax to meaning: every key is obeyed, remarked upon, or refused.

mod logging;

use super::ConfError;
use super::keys::{self, Fate};
use super::model::{
    ClusterConf, LINK_PRIORITY_DEFAULT, LINKS_MAX, Link, NODES_MAX, NodeConf, PORT_DEFAULT,
    TOKEN_MS_MAX, TOKEN_MS_MIN, WITNESS_ID, Warning,
};
use super::quorum::QuorumReader;
use super::syntax::{self, Item, Section};
use super::values;
use std::net::Ipv4Addr;

/// What to do with keys nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Refuse them: a typing error in a timer must not pass in silence (ruling 25).
    Strict,
    /// Warn only (`--lenient`).
    Lenient,
}

/// Reads a corosync.conf of any generation; `file` is for messages.
///
/// # Errors
/// [`ConfError`] names file, line and key, and what to write instead.
pub fn read(file: &str, text: &str, strictness: Strictness) -> Result<ClusterConf, ConfError> {
    let root = syntax::parse(file, text)?;
    let mut reader = Reader {
        file,
        strictness,
        conf: ClusterConf::default(),
        members: Vec::new(),
        nodeid: None,
        quorum_line: 0,
    };
    reader.section(&root, "")?;
    reader.finish()
}

struct Reader<'a> {
    file: &'a str,
    strictness: Strictness,
    conf: ClusterConf,
    /// `interface{ member{ memberaddr } }` of Corosync 1: link and address.
    members: Vec<(u8, String, usize)>,
    /// `totem.nodeid`, with its line.
    nodeid: Option<(u32, usize)>,
    /// Where `quorum{}` stands.
    quorum_line: usize,
}

impl Reader<'_> {
    /// Checks names, then hands known sections to their readers.
    fn section(&mut self, section: &Section, path: &str) -> Result<(), ConfError> {
        for (at, item) in section.items.iter().enumerate() {
            match keys::fate(path, &item.key) {
                Some(Fate::Used) => self.value(item, &section.items[..at])?,
                Some(Fate::Ignored(why)) => {
                    self.warn(item.line, &item.key, format!("no effect: {why}"))
                }
                None => self.unknown_key(path, item)?,
            }
        }
        match path {
            "totem" => self.totem(section)?,
            "totem.interface" => return self.interface(section),
            "nodelist.node" => self.node(section)?,
            "quorum" => return self.quorum(section),
            "logging" => self.logging(section)?,
            "logging.logger_subsys" => self.logger_subsys(section)?,
            _ => {}
        }
        for inner in &section.sections {
            self.subsection(inner, path)?;
        }
        Ok(())
    }

    /// What is true of every value that counts: it stands there once, and without quotes from a page.
    fn value(&mut self, item: &Item, earlier: &[Item]) -> Result<(), ConfError> {
        if values::has_typographic_quotes(&item.value) {
            return Err(self.bad(item, "a value stands without quotes, and these are none"));
        }
        if let Some(first) = earlier.iter().find(|e| e.key == item.key) {
            let text = format!("given in line {} already: this one counts", first.line);
            self.warn(item.line, &item.key, text);
        }
        Ok(())
    }

    fn subsection(&mut self, inner: &Section, path: &str) -> Result<(), ConfError> {
        let full = if path.is_empty() {
            inner.name.clone()
        } else {
            format!("{path}.{}", inner.name)
        };
        if let Some((_, why)) = keys::SECTIONS_IGNORED
            .iter()
            .find(|(name, _)| *name == full)
        {
            self.warn(inner.line, &inner.name, format!("section not read: {why}"));
            return Ok(());
        }
        if keys::subsections(path).contains(&inner.name.as_str()) {
            return self.section(inner, &full);
        }
        let near = nearest(&inner.name, keys::subsections(path));
        let what = format!("unknown section{near}");
        self.unknown(inner.line, &inner.name, what)
    }

    fn totem(&mut self, section: &Section) -> Result<(), ConfError> {
        for item in &section.items {
            match item.key.as_str() {
                "version" if item.value != "2" => {
                    return Err(self.bad(item, "must be 2, the version of the file's format"));
                }
                "cluster_name" => self.conf.cluster_name.clone_from(&item.value),
                "token" => self.conf.token_ms = Some(self.token(item)?),
                "transport" => self.transport(item)?,
                "secauth" | "crypto_cipher" | "crypto_hash" => self.crypto(item),
                "clear_node_high_bit" => self.conf.clear_node_high_bit = self.yes_no(item)?,
                "nodeid" => self.nodeid = Some((self.node_id(item)?, item.line)),
                _ => {}
            }
        }
        Ok(())
    }

    fn token(&self, item: &Item) -> Result<u64, ConfError> {
        let ms: u64 = self.number(item)?;
        if (TOKEN_MS_MIN..=TOKEN_MS_MAX).contains(&ms) {
            return Ok(ms);
        }
        let what = format!(
            "{ms} ms is out of range: at least {TOKEN_MS_MIN} ms (below that the scheduler's own jitter looks like a dead node) and at most {TOKEN_MS_MAX} ms"
        );
        Err(self.bad(item, &what))
    }

    fn transport(&mut self, item: &Item) -> Result<(), ConfError> {
        match item.value.as_str() {
            "udpu" | "knet" => Ok(()),
            "udp" => {
                let text = "multicast and broadcast are not used: heartbeats are unicast to the listed nodes";
                self.warn(item.line, "transport", text.to_owned());
                Ok(())
            }
            other => {
                // `upnp` stands in tutorials where udpu is meant.
                let near = if other.starts_with('u') {
                    "; did you mean `udpu`?"
                } else {
                    ""
                };
                let what = format!("`{other}` is no transport; use udpu or knet{near}");
                Err(self.bad(item, &what))
            }
        }
    }

    fn crypto(&mut self, item: &Item) {
        if matches!(item.value.as_str(), "off" | "none" | "no") {
            let text = "does not switch encryption off: every packet is authenticated and encrypted with the authkey";
            self.warn(item.line, &item.key, text.to_owned());
        } else if item.key != "secauth" {
            let text = "no effect: every packet is encrypted with XChaCha20-Poly1305";
            self.warn(item.line, &item.key, text.to_owned());
        }
    }

    fn interface(&mut self, section: &Section) -> Result<(), ConfError> {
        let mut link = Link {
            number: 0,
            port: PORT_DEFAULT,
            bindnetaddr: None,
            priority: LINK_PRIORITY_DEFAULT,
        };
        for item in &section.items {
            match item.key.as_str() {
                "ringnumber" | "linknumber" => link.number = self.link_number(item)?,
                "mcastport" => link.port = self.number(item)?,
                "knet_link_priority" => link.priority = self.number(item)?,
                "bindnetaddr" => link.bindnetaddr = Some(item.value.clone()),
                _ => {}
            }
        }
        for member in section.all("member") {
            for item in &member.items {
                if keys::fate("totem.interface.member", &item.key).is_none() {
                    self.unknown_key("totem.interface.member", item)?;
                }
            }
            for addr in member.items.iter().filter(|i| i.key == "memberaddr") {
                if let Some(what) = values::address_problem(&addr.value) {
                    return Err(self.bad(addr, &what));
                }
                self.members
                    .push((link.number, addr.value.clone(), addr.line));
            }
        }
        if self.conf.links.iter().any(|l| l.number == link.number) {
            let what = format!("link {} has two interface sections", link.number);
            return Err(ConfError::at(self.file, section.line, "interface", what));
        }
        self.conf.links.push(link);
        for inner in section.sections.iter().filter(|s| s.name != "member") {
            self.subsection(inner, "totem.interface")?;
        }
        Ok(())
    }

    fn node(&mut self, section: &Section) -> Result<(), ConfError> {
        let mut node = NodeConf {
            votes: 1,
            ..NodeConf::default()
        };
        for item in &section.items {
            match item.key.as_str() {
                "nodeid" => node.id = self.node_id(item)?,
                "name" => node.name = Some(self.node_name(item)?),
                "quorum_votes" => node.votes = self.number(item)?,
                ring => {
                    let number = ring
                        .strip_prefix("ring")
                        .and_then(|r| r.strip_suffix("_addr"));
                    let Some(number) = number.and_then(|n| n.parse::<u8>().ok()) else {
                        continue;
                    };
                    if number >= LINKS_MAX {
                        return Err(self.bad(
                            item,
                            &format!(
                                "at most {LINKS_MAX} links: ring0_addr to ring{}_addr",
                                LINKS_MAX - 1
                            ),
                        ));
                    }
                    if let Some(what) = values::address_problem(&item.value) {
                        return Err(self.bad(item, &what));
                    }
                    let at = usize::from(number);
                    node.addrs.resize(node.addrs.len().max(at + 1), None);
                    node.addrs[at] = Some(item.value.clone());
                }
            }
        }
        self.add_node(node, section.line)
    }

    fn add_node(&mut self, mut node: NodeConf, line: usize) -> Result<(), ConfError> {
        let fail = |what: String| Err(ConfError::at(self.file, line, "node", what));
        let Some(first) = node.addrs.first().cloned().flatten() else {
            return fail("a node needs ring0_addr".to_owned());
        };
        if node.id == 0 {
            let Ok(address) = first.parse::<Ipv4Addr>() else {
                return fail(format!(
                    "`{first}` is no IPv4 address: give this node a nodeid"
                ));
            };
            node.id = generated_id(address);
        }
        for other in &self.conf.nodes {
            if other.id == node.id {
                let other = other.addrs.first().cloned().flatten().unwrap_or_default();
                return fail(format!(
                    "nodeid {} belongs to two nodes, {other} and {first}: every node needs its own",
                    node.id
                ));
            }
            if let Some(twice) = node
                .addrs
                .iter()
                .flatten()
                .find(|a| other.addrs.contains(&Some((*a).clone())))
            {
                return fail(format!(
                    "address {twice} belongs to two nodes, {} and {}",
                    other.id, node.id
                ));
            }
            if node.name.is_some() && other.name == node.name {
                return fail(format!(
                    "the name {} belongs to two nodes",
                    node.name.unwrap_or_default()
                ));
            }
        }
        if self.conf.nodes.len() >= NODES_MAX {
            return fail(format!("at most {NODES_MAX} nodes"));
        }
        self.conf.nodes.push(node);
        Ok(())
    }

    /// `quorum{}` and what lies in it: names first, then the meaning of the whole.
    fn quorum(&mut self, section: &Section) -> Result<(), ConfError> {
        for inner in &section.sections {
            self.subsection(inner, "quorum")?;
        }
        self.conf.quorum = QuorumReader::new(self.file).read(section)?;
        self.quorum_line = section.line;
        Ok(())
    }

    /// Puts the generations together and checks what only the whole file shows.
    fn finish(mut self) -> Result<ClusterConf, ConfError> {
        if self.conf.nodes.is_empty() {
            self.members_to_nodes()?;
        } else if !self.members.is_empty() {
            let (_, _, line) = self.members[0];
            self.warn(
                line,
                "member",
                "not read: the nodelist names the nodes".to_owned(),
            );
        }
        if self.conf.links.is_empty() {
            self.conf.links.push(Link {
                number: 0,
                port: PORT_DEFAULT,
                bindnetaddr: None,
                priority: LINK_PRIORITY_DEFAULT,
            });
        }
        let used = self
            .conf
            .nodes
            .iter()
            .map(|n| n.addrs.len())
            .max()
            .unwrap_or(1);
        for number in 0..used as u8 {
            if !self.conf.links.iter().any(|l| l.number == number) {
                self.conf.links.push(Link {
                    number,
                    port: PORT_DEFAULT,
                    bindnetaddr: None,
                    priority: LINK_PRIORITY_DEFAULT,
                });
            }
        }
        self.conf.links.sort_by_key(|l| l.number);
        let line = self.quorum_line;
        for (key, text) in self.conf.settle_quorum() {
            self.warn(line, key, text);
        }
        let contradiction = self.conf.check_quorum();
        contradiction.map_err(|(key, what)| ConfError::at(self.file, line, key, what))?;
        self.conf.warnings.sort_by_key(|warning| warning.line);
        Ok(self.conf)
    }

    fn members_to_nodes(&mut self) -> Result<(), ConfError> {
        let first_link: Vec<_> = self.members.iter().filter(|m| m.0 == 0).cloned().collect();
        for (at, (_, addr, line)) in first_link.into_iter().enumerate() {
            // The n-th member of each link is the same node, as Corosync 1 reads redundant rings.
            let mut addrs = vec![Some(addr)];
            for link in 1..LINKS_MAX {
                let other = self.members.iter().filter(|m| m.0 == link).nth(at);
                if let Some((_, other, _)) = other {
                    addrs.resize(usize::from(link) + 1, None);
                    addrs[usize::from(link)] = Some(other.clone());
                }
            }
            self.add_node(
                NodeConf {
                    id: 0,
                    name: None,
                    addrs,
                    votes: 1,
                },
                line,
            )?;
        }
        Ok(())
    }

    fn unknown_key(&mut self, path: &str, item: &Item) -> Result<(), ConfError> {
        let what = match path {
            "" => "a key outside of any section".to_owned(),
            _ => {
                let near = nearest(&item.key, &keys::names(path));
                format!("unknown key in `{path}`{near}")
            }
        };
        self.unknown(item.line, &item.key, what)
    }

    fn unknown(&mut self, line: usize, key: &str, what: String) -> Result<(), ConfError> {
        if self.strictness == Strictness::Lenient {
            self.remark(line, key, format!("{what}; ignored"), true);
            return Ok(());
        }
        Err(ConfError::at(
            self.file,
            line,
            key,
            format!("{what} (--lenient ignores it)"),
        ))
    }

    fn warn(&mut self, line: usize, key: &str, text: String) {
        self.remark(line, key, text, false);
    }

    fn remark(&mut self, line: usize, key: &str, text: String, unknown: bool) {
        self.conf.warnings.push(Warning {
            line,
            key: key.to_owned(),
            text,
            unknown,
        });
    }

    fn bad(&self, item: &Item, what: &str) -> ConfError {
        ConfError::at(self.file, item.line, &item.key, what)
    }

    fn number<T: std::str::FromStr>(&self, item: &Item) -> Result<T, ConfError> {
        item.value.parse().map_err(|_| {
            self.bad(
                item,
                &format!("`{}` is no number in the range allowed here", item.value),
            )
        })
    }

    fn node_id(&self, item: &Item) -> Result<u32, ConfError> {
        match self.number(item)? {
            0 => Err(self.bad(item, "0 is reserved: node ids start at 1")),
            WITNESS_ID => Err(self.bad(item, "this id is the witness's: use a lower one")),
            id => Ok(id),
        }
    }

    fn node_name(&self, item: &Item) -> Result<String, ConfError> {
        if values::is_node_name(&item.value) {
            return Ok(item.value.clone());
        }
        let what = format!(
            "`{}` is no name for a node: letters, digits, `-`, `_` and `.` make one",
            item.value
        );
        Err(self.bad(item, &what))
    }

    fn facility(&self, item: &Item) -> Result<String, ConfError> {
        if values::syslog_facility(&item.value).is_some() {
            return Ok(item.value.clone());
        }
        let what = format!(
            "`{}` is no facility of syslog: write daemon, local0 to local7, or another one of syslog(3)",
            item.value
        );
        Err(self.bad(item, &what))
    }

    fn link_number(&self, item: &Item) -> Result<u8, ConfError> {
        let number: u8 = self.number(item)?;
        if number < LINKS_MAX {
            return Ok(number);
        }
        Err(self.bad(
            item,
            &format!("at most {LINKS_MAX} links: 0 to {}", LINKS_MAX - 1),
        ))
    }

    fn yes_no(&self, item: &Item) -> Result<bool, ConfError> {
        match item.value.as_str() {
            "yes" | "on" | "1" | "true" => Ok(true),
            "no" | "off" | "0" | "false" => Ok(false),
            other => Err(self.bad(item, &format!("`{other}` is neither yes nor no"))),
        }
    }
}

/// Corosync's 31-bit rule: the IPv4 address as a number without its highest bit.
fn generated_id(address: Ipv4Addr) -> u32 {
    u32::from(address) & 0x7fff_ffff
}

/// `; did you mean …?` for the closest known name, if one is close.
pub(in crate::conf) fn nearest(word: &str, known: &[&str]) -> String {
    let word: String = word.chars().take(WORD_CHARS_MAX).collect();
    // Among equally close names the first of the list wins.
    let best = known
        .iter()
        .map(|k| (strsim::levenshtein(&word, k), k))
        .min_by_key(|(d, _)| *d);
    match best {
        Some((d, name)) if d <= 2 || (d == 3 && word.len() > 7) => {
            format!("; did you mean `{name}`?")
        }
        _ => String::new(),
    }
}

/// Longest word compared for suggestions, in characters.
const WORD_CHARS_MAX: usize = 64;
