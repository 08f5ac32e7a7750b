//! Statements to lines of `crm configure`.

use super::{Fate, Finding, Statement, Translation};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// All of a file.
pub(super) fn translate(statements: &[Statement], node: &str) -> Translation {
    let mut all = Translator {
        node,
        done: Translation::default(),
        ids: BTreeSet::new(),
        instances: BTreeMap::new(),
        addresses: BTreeMap::new(),
    };
    for statement in statements {
        all.top(statement);
    }
    // What names instances comes after all of them.
    for group in statements
        .iter()
        .filter(|s| s.keyword() == "vrrp_sync_group")
    {
        all.sync_group(group);
    }
    let Translator { mut done, .. } = all;
    done.findings.sort_by_key(|f| (f.line, f.column));
    done
}

struct Translator<'a> {
    node: &'a str,
    done: Translation,
    /// Ids given so far.
    ids: BTreeSet<String>,
    /// The first resource of every instance that has one, by the instance's name.
    instances: BTreeMap<String, String>,
    /// The instance that has an address.
    addresses: BTreeMap<IpAddr, String>,
}

/// What an instance says beside its addresses.
#[derive(Default)]
struct Instance<'a> {
    id: String,
    nic: Option<&'a str>,
    priority: Option<i32>,
    keeps: bool,
    params: Vec<String>,
    addresses: Vec<&'a Statement>,
}

impl Translator<'_> {
    fn top(&mut self, s: &Statement) {
        match s.keyword() {
            "vrrp_instance" => self.instance(s),
            // After all instances.
            "vrrp_sync_group" => {}
            "vrrp_script" | "track_file" | "vrrp_track_process" => self.say(
                s,
                Fate::Refused,
                "run what it checks as a resource with a monitor, and place the address with it: \
                 crm configure colocation ID inf: ADDRESS SERVICE",
            ),
            "virtual_server" | "virtual_server_group" | "real_server" => self.say(
                s,
                Fate::Refused,
                "IPVS tables are not managed here: keep keepalived for them, without vrrp_instance, \
                 and give the addresses the parameter lvs_support=true",
            ),
            "static_ipaddress" | "static_routes" | "static_rules" => self.say(
                s,
                Fate::Refused,
                "what does not move belongs to the network's own configuration",
            ),
            "global_defs" => {
                for inner in &s.block {
                    self.global(inner);
                }
            }
            "include" => self.say(s, Fate::Refused, "import the files that it names one by one"),
            word if word.starts_with(['@', '$']) => self.say(
                s,
                Fate::Refused,
                "conditions and definitions are not followed: write what they come to",
            ),
            _ => self.say(s, Fate::Refused, "not known here"),
        }
    }

    fn global(&mut self, s: &Statement) {
        let keyword = s.keyword();
        if keyword.starts_with("notification_email") || keyword.starts_with("smtp") {
            return self.say(
                s,
                Fate::Refused,
                "an alert agent tells people: crm configure alert ID PATH",
            );
        }
        self.say(s, Fate::Obsolete, "settings of keepalived itself");
    }

    fn instance(&mut self, s: &Statement) {
        let name = s.value().unwrap_or("vip");
        if self.instances.contains_key(name) {
            return self.say(s, Fate::Refused, "an instance of this name stands above");
        }
        let mut instance = Instance {
            id: self.new_id(name),
            ..Instance::default()
        };
        for inner in &s.block {
            self.setting(inner, &mut instance);
        }
        instance
            .addresses
            .retain(|address| self.is_address(address, name));
        let ids: Vec<String> = (0..instance.addresses.len())
            .map(|n| match n {
                0 => instance.id.clone(),
                _ => self.new_id(&format!("{}-{}", instance.id, n + 1)),
            })
            .collect();
        let Some(first) = ids.first() else {
            return self.say(s, Fate::Refused, "it has no virtual_ipaddress");
        };
        self.instances.insert(name.to_owned(), first.clone());
        for (id, address) in ids.iter().zip(&instance.addresses) {
            self.address(id, address, &instance);
        }
        if ids.len() > 1 {
            let others = ids[1..].join(" ");
            let line = format!("colocation {first}-together inf: ( {others} ) {first}");
            self.done.lines.push(line);
        }
        if let Some(priority) = instance.priority {
            let line = format!("location {first}-on-{0} {first} {priority}: {0}", self.node);
            self.done.lines.push(line);
        }
        let what = format!("{} of {name}", count(ids.len(), "address"));
        self.note(s, Fate::Maps, what);
    }

    fn setting<'s>(&mut self, s: &'s Statement, instance: &mut Instance<'s>) {
        let value = s.value();
        match s.keyword() {
            "interface" => instance.nic = value,
            "virtual_ipaddress" | "virtual_ipaddress_excluded" => {
                instance.addresses.extend(&s.block);
            }
            "priority" => match value.and_then(|v| v.parse().ok()) {
                Some(priority) => {
                    instance.priority = Some(priority);
                    self.say(s, Fate::Maps, "the score of this node");
                }
                None => self.say(s, Fate::Refused, "a number is expected"),
            },
            "nopreempt" => {
                instance.keeps = true;
                self.say(
                    s,
                    Fate::Maps,
                    "resource-stickiness=INFINITY: it stays where it is",
                );
            }
            "garp_master_repeat" => self.parameter(s, "arp_count", instance),
            "garp_master_refresh_repeat" => self.parameter(s, "arp_count_refresh", instance),
            "track_interface" => self.say(
                s,
                Fate::Maps,
                "an address whose interface goes down or loses its carrier is moved at once; other \
                 interfaces: ocf:heartbeat:ethmonitor and a location rule",
            ),
            "state"
            | "virtual_router_id"
            | "advert_int"
            | "authentication"
            | "unicast_peer"
            | "unicast_src_ip"
            | "mcast_src_ip"
            | "version"
            | "use_vmac"
            | "vmac_xmit_base"
            | "strict_mode"
            | "preempt"
            | "preempt_delay"
            | "garp_master_delay"
            | "garp_master_refresh"
            | "garp_lower_prio_repeat"
            | "garp_lower_prio_delay"
            | "garp_extra_if"
            | "accept"
            | "no_accept"
            | "native_ipv6"
            | "promote_secondaries"
            | "linkbeat_use_polling"
            | "skip_check_adv_addr"
            | "check_unicast_src"
            | "unicast_ttl"
            | "unicast_fault_no_peers"
            | "kernel_rx_buf_size"
            | "vrrp_garp_master_refresh"
            | "init_fail"
            | "notify_priority_changes"
            | "lower_prio_no_advert"
            | "higher_prio_send_advert"
            | "debug"
            | "dont_track_primary" => self.say(
                s,
                Fate::Obsolete,
                "membership, quorum and announcements are the cluster's: see mainstay-vip(7)",
            ),
            "notify" | "notify_master" | "notify_backup" | "notify_fault" | "notify_stop"
            | "smtp_alert" => self.say(
                s,
                Fate::Refused,
                "an alert agent is called on every event: crm configure alert ID PATH; what must \
                 run with the address is a resource",
            ),
            "track_script" | "track_process" | "track_file" | "track_bfd" => self.say(
                s,
                Fate::Refused,
                "place the address with the service that is checked: \
                 crm configure colocation ID inf: ADDRESS SERVICE",
            ),
            "virtual_routes" | "virtual_rules" => self.say(
                s,
                Fate::Refused,
                "a route that moves with the address is a resource: ocf:heartbeat:Route",
            ),
            word if word.starts_with('@') => self.say(
                s,
                Fate::Refused,
                "conditions are not followed: write what holds on this node, without the condition",
            ),
            _ => self.say(s, Fate::Refused, "not known here"),
        }
    }

    fn parameter<'s>(&mut self, s: &'s Statement, name: &str, instance: &mut Instance<'s>) {
        match s.value().and_then(|v| v.parse::<u32>().ok()) {
            Some(number) => {
                instance.params.push(format!("{name}={number}"));
                self.say(s, Fate::Maps, &format!("{name}={number}"));
            }
            None => self.say(s, Fate::Refused, "a number is expected"),
        }
    }

    /// An address that can be one, and is nobody else's yet.
    fn is_address(&mut self, s: &Statement, instance: &str) -> bool {
        let (ip, mask) = ip_and_mask(s.keyword());
        let Ok(ip) = ip.parse::<IpAddr>() else {
            self.note(
                s,
                Fate::Refused,
                format!("{}: an IPv4 or IPv6 address is expected", s.keyword()),
            );
            return false;
        };
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        let dotted = mask.is_some_and(|m| ip.is_ipv4() && m.parse::<std::net::Ipv4Addr>().is_ok());
        let counted = mask.is_none_or(|m| m.parse::<u8>().is_ok_and(|bits| bits <= longest));
        if !dotted && !counted {
            let what = format!("{}: a prefix has 0 to {longest} bits", s.keyword());
            self.note(s, Fate::Refused, what);
            return false;
        }
        if let Some(owner) = self.addresses.get(&ip) {
            let what = format!("{}: it is an address of {owner} already", s.keyword());
            self.note(s, Fate::Refused, what);
            return false;
        }
        self.addresses.insert(ip, instance.to_owned());
        true
    }

    /// `192.0.2.1/24 brd 192.0.2.255 dev eth0 label eth0:1`
    fn address(&mut self, id: &str, s: &Statement, instance: &Instance<'_>) {
        let (ip, mask) = ip_and_mask(s.keyword());
        let mut params = vec![format!("ip={ip}")];
        let named = |name: &str, value: Option<&str>| value.map(|v| format!("{name}={v}"));
        let nic = s.after("dev").or(instance.nic);
        params.extend(named("cidr_netmask", mask));
        params.extend(named("nic", nic));
        params.extend(named("broadcast", s.after("brd").filter(|b| *b != "-")));
        params.extend(named("iflabel", self.label(s, nic)));
        params.extend(named("preferred_lft", s.after("preferred_lft")));
        params.extend(
            s.has("noprefixroute")
                .then(|| "noprefixroute=true".to_owned()),
        );
        params.extend(instance.params.iter().cloned());
        let meta = match instance.keeps {
            true => " meta resource-stickiness=INFINITY",
            false => "",
        };
        let params = params.join(" ");
        self.done.lines.push(format!(
            "primitive {id} ocf:heartbeat:IPaddr2 params {params} op monitor interval=10s{meta}"
        ));
        self.note(s, Fate::Maps, format!("{} is resource {id}", s.keyword()));
        self.words_left(s);
    }

    /// What stands behind `NIC:` in the label; IPaddr2 writes the interface before it.
    fn label<'s>(&mut self, s: &'s Statement, nic: Option<&str>) -> Option<&'s str> {
        let label = s.after("label")?;
        match label.split_once(':') {
            Some((before, label)) if nic.is_none_or(|nic| nic == before) => Some(label),
            _ => {
                let what = format!("label {label}: a label is the interface, a colon and a word");
                self.note(s, Fate::Refused, what);
                None
            }
        }
    }

    /// Words of an address that are lost.
    fn words_left(&mut self, s: &Statement) {
        let mut words = s.words.iter().skip(1);
        while let Some(word) = words.next() {
            let (fate, why) = match word.as_str() {
                "dev" | "brd" | "label" | "preferred_lft" => {
                    words.next();
                    continue;
                }
                "noprefixroute" => continue,
                "scope" => {
                    let scope = words.next().map_or("", String::as_str);
                    if scope == "global" {
                        continue;
                    }
                    (Fate::Refused, "the address gets the scope global")
                }
                "metric" => {
                    words.next();
                    (Fate::Refused, "its route has the metric of others")
                }
                "no_track" | "no-track" => {
                    (Fate::Refused, "an address whose interface is down is moved")
                }
                // No address waits for a check, and none is anybody's home.
                "nodad" | "home" | "mngtmpaddr" => (Fate::Obsolete, "nothing here needs it"),
                _ => (Fate::Refused, "not known here"),
            };
            self.note(s, fate, format!("{} of {}: {why}", word, s.keyword()));
        }
    }

    fn sync_group(&mut self, s: &Statement) {
        let group = s.block.iter().find(|b| b.keyword() == "group");
        let names: Vec<&String> = group
            .iter()
            .flat_map(|g| &g.block)
            .flat_map(|line| &line.words)
            .collect();
        let missing = names.iter().find(|n| !self.instances.contains_key(**n));
        let members: Vec<String> = names
            .iter()
            .filter_map(|name| self.instances.get(*name).cloned())
            .collect();
        if let Some(missing) = missing {
            let what = format!("{missing} is no instance with an address");
            self.say(s, Fate::Refused, &what);
        } else if let [first, others @ ..] = members.as_slice()
            && !others.is_empty()
        {
            let id = self.new_id(s.value().unwrap_or("together"));
            let line = format!("colocation {id} inf: ( {} ) {first}", others.join(" "));
            self.done.lines.push(line);
            self.say(s, Fate::Maps, "its instances stay together");
        } else {
            self.say(
                s,
                Fate::Refused,
                "a group of two instances and more is expected",
            );
        }
        for inner in s.block.iter().filter(|b| b.keyword() != "group") {
            self.setting(inner, &mut Instance::default());
        }
    }

    /// An id that nothing else has.
    fn new_id(&mut self, name: &str) -> String {
        let wanted = id_of(name);
        let mut id = wanted.clone();
        let mut number = 1;
        while !self.ids.insert(id.clone()) {
            number += 1;
            id = format!("{wanted}-{number}");
        }
        id
    }

    fn say(&mut self, s: &Statement, fate: Fate, why: &str) {
        // Passwords stand in a block of their own, which nobody reads.
        let what = s.value().map(|value| format!("{} {value}", s.keyword()));
        let what = what.unwrap_or_else(|| s.keyword().to_owned());
        self.note(s, fate, format!("{what}: {why}"));
    }

    fn note(&mut self, s: &Statement, fate: Fate, text: String) {
        self.done.findings.push(Finding {
            line: s.line,
            column: s.column,
            fate,
            text,
        });
    }
}

/// A name as an id of the CIB may be: an XML NCName.
fn id_of(name: &str) -> String {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let id: String = name
        .chars()
        .map(|c| if is_fine(c) { c } else { '-' })
        .collect();
    match id.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        true => id,
        false => format!("vip-{id}"),
    }
}

fn ip_and_mask(word: &str) -> (&str, Option<&str>) {
    match word.split_once('/') {
        Some((ip, mask)) => (ip, Some(mask)),
        None => (word, None),
    }
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}es"),
    }
}
