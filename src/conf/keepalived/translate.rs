//! Statements to lines of `crm configure`.

use super::{Fate, Finding, Statement, Translation};
use std::collections::BTreeSet;

/// All of a file.
pub(super) fn translate(statements: &[Statement], node: &str) -> Translation {
    let mut all = Translator {
        node,
        done: Translation::default(),
        ids: BTreeSet::new(),
        late: Vec::new(),
    };
    for statement in statements {
        all.top(statement);
    }
    // What names instances comes after all of them.
    let Translator { mut done, late, .. } = all;
    done.lines.extend(late);
    done
}

struct Translator<'a> {
    node: &'a str,
    done: Translation,
    /// Ids given so far.
    ids: BTreeSet<String>,
    /// Lines that name what others define.
    late: Vec<String>,
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
            "vrrp_sync_group" => self.sync_group(s),
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
                 and give the addresses the meta parameter lvs_support=true",
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
        let mut instance = Instance {
            id: self.new_id(s.value().unwrap_or("vip")),
            ..Instance::default()
        };
        for inner in &s.block {
            self.setting(inner, &mut instance);
        }
        instance
            .addresses
            .retain(|address| self.is_address(address));
        let ids: Vec<String> = (0..instance.addresses.len())
            .map(|n| match n {
                0 => instance.id.clone(),
                _ => self.new_id(&format!("{}-{}", instance.id, n + 1)),
            })
            .collect();
        let Some(first) = ids.first() else {
            return self.say(s, Fate::Refused, "it has no virtual_ipaddress");
        };
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
        let what = format!(
            "{} of {}",
            count(ids.len(), "address"),
            s.value().unwrap_or("vip")
        );
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

    fn is_address(&mut self, s: &Statement) -> bool {
        let is_one = ip_and_mask(s.keyword())
            .0
            .parse::<std::net::IpAddr>()
            .is_ok();
        if !is_one {
            self.say(s, Fate::Refused, "an IPv4 or IPv6 address is expected");
        }
        is_one
    }

    /// `192.0.2.1/24 brd 192.0.2.255 dev eth0 label eth0:1`
    fn address(&mut self, id: &str, s: &Statement, instance: &Instance<'_>) {
        let (ip, mask) = ip_and_mask(s.keyword());
        let mut params = vec![format!("ip={ip}")];
        let named = |name: &str, value: Option<&str>| value.map(|v| format!("{name}={v}"));
        params.extend(named("cidr_netmask", mask));
        params.extend(named("nic", s.after("dev").or(instance.nic)));
        params.extend(named("broadcast", s.after("brd").filter(|b| *b != "-")));
        let label = s.after("label").and_then(|l| l.split_once(':'));
        params.extend(named("iflabel", label.map(|(_, label)| label)));
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
    }

    fn sync_group(&mut self, s: &Statement) {
        let group = s.block.iter().find(|b| b.keyword() == "group");
        let members: Vec<String> = group
            .iter()
            .flat_map(|g| &g.block)
            .flat_map(|line| &line.words)
            .map(|member| id_of(member))
            .collect();
        if let [first, others @ ..] = members.as_slice()
            && !others.is_empty()
        {
            let id = self.new_id(s.value().unwrap_or("together"));
            let line = format!("colocation {id} inf: ( {} ) {first}", others.join(" "));
            self.late.push(line);
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
