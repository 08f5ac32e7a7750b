//! Statements to lines of `crm configure`.

use super::address::{self, Address};
use super::{Fate, Finding, Statement, Translation, keys};
use crate::conf::read::nearest;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// All of a file.
pub(super) fn translate(statements: &[Statement], node: &str) -> Translation {
    let mut all = Translator {
        node,
        done: Translation::default(),
        all: Instance::default(),
        ids: BTreeSet::new(),
        instances: BTreeMap::new(),
        addresses: BTreeMap::new(),
    };
    // What holds for all instances comes before them.
    let of_all = statements.iter().filter(|s| s.keyword() == "global_defs");
    for setting in of_all.flat_map(|s| &s.block) {
        all.global(setting);
    }
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
    /// What an instance has that says nothing else.
    all: Instance<'a>,
    /// Ids given so far.
    ids: BTreeSet<String>,
    /// The first resource of every instance that has one, by the instance's name.
    instances: BTreeMap<String, String>,
    /// The instance that has an address.
    addresses: BTreeMap<IpAddr, String>,
}

/// Parameters of `IPaddr2` that are numbers.
type Params = BTreeMap<&'static str, u32>;

/// What an instance says beside its addresses.
#[derive(Clone, Default)]
struct Instance<'a> {
    id: String,
    nic: Option<&'a str>,
    priority: Option<u8>,
    keeps: bool,
    params: Params,
    addresses: Vec<&'a Statement>,
}

impl<'a> Translator<'a> {
    fn top(&mut self, s: &'a Statement) {
        match s.keyword() {
            "vrrp_instance" => self.instance(s),
            // After all instances.
            "vrrp_sync_group" => {}
            "vrrp_script" | "track_file" | "vrrp_track_file" | "vrrp_track_process" => self.say(
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
            "static_ipaddress" | "static_routes" | "static_rules" | "track_group" => self.say(
                s,
                Fate::Refused,
                "what does not move belongs to the network's own configuration",
            ),
            // Before all instances.
            "global_defs" => {}
            "include" | "includea" | "includeb" | "includem" | "includer" | "includew" => self
                .say(s, Fate::Refused, "import the files that it names one by one"),
            word if word.starts_with(['@', '$']) => self.say(
                s,
                Fate::Refused,
                "conditions and definitions are not followed: write what they come to",
            ),
            word if keys::TOP.contains(&word) => self.say(s, Fate::Obsolete, OF_ITSELF),
            word => self.unknown(s, word, &[keys::TOP, &TOP_OTHERS].concat()),
        }
    }

    fn global(&mut self, s: &'a Statement) {
        let mut all = std::mem::take(&mut self.all);
        match s.keyword() {
            "notification_email"
            | "notification_email_from"
            | "smtp_server"
            | "smtp_helo_name"
            | "smtp_connect_timeout"
            | "smtp_alert"
            | "smtp_alert_vrrp"
            | "smtp_alert_checker"
            | "notify_fifo"
            | "notify_fifo_script"
            | "vrrp_notify_fifo"
            | "vrrp_notify_fifo_script" => self.say(
                s,
                Fate::Refused,
                "an alert agent tells people: crm configure alert ID PATH",
            ),
            "startup_script" | "shutdown_script" => self.say(
                s,
                Fate::Refused,
                "what runs once at start and end is a unit of the service manager",
            ),
            "default_interface" => {
                all.nic = s.value();
                self.say(s, Fate::Maps, "nic of instances that name no interface");
            }
            "vrrp_garp_master_repeat" => self.parameter(s, "arp_count", &mut all.params),
            "vrrp_garp_master_refresh_repeat" => {
                self.parameter(s, "arp_count_refresh", &mut all.params);
            }
            word if keys::GLOBAL.contains(&word) => self.say(s, Fate::Obsolete, OF_ITSELF),
            word => self.unknown(s, word, keys::GLOBAL),
        }
        self.all = all;
    }

    fn unknown(&mut self, s: &Statement, word: &str, known: &[&str]) {
        let near = nearest(word, known);
        self.say(s, Fate::Refused, &format!("not known here{near}"));
    }

    fn instance(&mut self, s: &'a Statement) {
        let Some(name) = s.value() else {
            return self.say(s, Fate::Refused, "a name is expected behind it");
        };
        if self.instances.contains_key(name) {
            return self.say(s, Fate::Refused, "an instance of this name stands above");
        }
        let mut instance = Instance {
            id: self.new_id(name),
            ..self.all.clone()
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
            return self.say(
                s,
                Fate::Refused,
                "it has no virtual_ipaddress that can be taken over",
            );
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

    fn setting(&mut self, s: &'a Statement, instance: &mut Instance<'a>) {
        let value = s.value();
        match s.keyword() {
            "interface" => {
                instance.nic = value;
                self.say(s, Fate::Maps, "nic of its addresses that name no dev");
            }
            "virtual_ipaddress" => {
                self.families(&s.block);
                instance.addresses.extend(&s.block);
            }
            "virtual_ipaddress_excluded" => instance.addresses.extend(&s.block),
            "priority" => match value.and_then(|v| v.parse().ok()) {
                Some(priority @ 1..) => {
                    instance.priority = Some(priority);
                    self.say(s, Fate::Maps, "the score of this node");
                }
                _ => self.say(s, Fate::Refused, "a number from 1 to 255 is expected"),
            },
            "nopreempt" => {
                instance.keeps = true;
                self.say(
                    s,
                    Fate::Maps,
                    "resource-stickiness=INFINITY: it stays where it is",
                );
            }
            "garp_master_repeat" => self.parameter(s, "arp_count", &mut instance.params),
            "garp_master_refresh_repeat" => {
                self.parameter(s, "arp_count_refresh", &mut instance.params);
            }
            "track_interface" => self.say(
                s,
                Fate::Maps,
                "an address whose interface goes down or loses its carrier is moved at once; other \
                 interfaces: ocf:heartbeat:ethmonitor and a location rule",
            ),
            word if keys::INSTANCE.contains(&word) => self.say(
                s,
                Fate::Obsolete,
                "membership, quorum and announcements are the cluster's: see mainstay-vip(7)",
            ),
            "global_tracking" | "sync_group_tracking_weight" => self.say(
                s,
                Fate::Obsolete,
                "instances that stay together move together, whatever is tracked",
            ),
            "notify"
            | "notify_master"
            | "notify_backup"
            | "notify_fault"
            | "notify_stop"
            | "notify_deleted"
            | "notify_master_rx_lower_pri"
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
            word => {
                let known = [keys::INSTANCE, keys::INSTANCE_OTHERS].concat();
                self.unknown(s, word, &known);
            }
        }
    }

    /// Tells of addresses that are taken here, and were not there: what VRRP announces is of one
    /// family.
    fn families(&mut self, addresses: &[Statement]) {
        let family = |s: &Statement| address::parse(s.keyword()).ok().map(|ip| ip.is_ipv4());
        let first = addresses.iter().find_map(family);
        for s in addresses {
            if family(s).is_some() && family(s) != first {
                self.say(
                    s,
                    Fate::Maps,
                    "keepalived left it out, as the first address is of the other family",
                );
            }
        }
    }

    fn parameter(&mut self, s: &Statement, name: &'static str, params: &mut Params) {
        match s.value().and_then(|v| v.parse::<u32>().ok()) {
            Some(number) => {
                params.insert(name, number);
                self.say(s, Fate::Maps, &format!("{name}={number}"));
            }
            None => self.say(s, Fate::Refused, "a number is expected"),
        }
    }

    /// An address that can be one, and is nobody else's yet.
    fn is_address(&mut self, s: &Statement, instance: &str) -> bool {
        let ip = match address::parse(s.keyword()) {
            Ok(ip) => ip,
            Err(what) => {
                self.note(s, Fate::Refused, what);
                return false;
            }
        };
        if let Some(owner) = self.addresses.get(&ip) {
            let what = format!("{}: it is an address of {owner} already", s.keyword());
            self.note(s, Fate::Refused, what);
            return false;
        }
        self.addresses.insert(ip, instance.to_owned());
        true
    }

    fn address(&mut self, id: &str, s: &Statement, instance: &Instance<'_>) {
        let (ip, mask) = address::ip_and_mask(s.keyword());
        let mut address = Address::read(s);
        let nic = address.nic.or(instance.nic);
        address.within(nic);
        // Without a prefix keepalived gives the address alone; IPaddr2 needs the nic for that.
        let alone = if ip.contains(':') { "128" } else { "32" };
        let mask = mask.or(nic.map(|_| alone));
        let mut params = vec![format!("ip={ip}")];
        let named = |name: &str, value: Option<&str>| value.map(|v| format!("{name}={v}"));
        params.extend(named("cidr_netmask", mask));
        params.extend(named("nic", nic));
        params.extend(named("broadcast", address.broadcast));
        params.extend(named("iflabel", address.label));
        params.extend(named("preferred_lft", address.preferred_lft));
        params.extend(named(
            "noprefixroute",
            address.no_prefix_route.then_some("true"),
        ));
        params.extend(
            instance
                .params
                .iter()
                .map(|(name, n)| format!("{name}={n}")),
        );
        let meta = match instance.keeps {
            true => " meta resource-stickiness=INFINITY",
            false => "",
        };
        let params = params.join(" ");
        self.done.lines.push(format!(
            "primitive {id} ocf:heartbeat:IPaddr2 params {params} op monitor interval=10s{meta}"
        ));
        let where_it_goes = match nic {
            Some(_) => "",
            None => ": no interface is named, so it goes where the route to it leads",
        };
        self.note(
            s,
            Fate::Maps,
            format!("{} is resource {id}{where_it_goes}", s.keyword()),
        );
        for (fate, text) in address.lost {
            self.note(s, fate, text);
        }
    }

    fn sync_group(&mut self, s: &'a Statement) {
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

const OF_ITSELF: &str = "settings of keepalived itself";
/// Other words where no block is open, for whom a slip of the pen may have meant.
const TOP_OTHERS: [&str; 9] = [
    "global_defs",
    "static_ipaddress",
    "static_routes",
    "virtual_server",
    "vrrp_instance",
    "vrrp_script",
    "vrrp_sync_group",
    "vrrp_track_file",
    "vrrp_track_process",
];

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

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}es"),
    }
}
