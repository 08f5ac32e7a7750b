//! Every key of corosync.conf(5) that ever was, and what becomes of it here.

/// What mainstay does with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Obeyed.
    Used,
    /// A valid key of a newer or older Corosync without effect here; the text says why.
    Ignored(&'static str),
}

use Fate::{Ignored, Used};

/// Looks a key up: `section` is the dotted path, as `totem.interface`.
pub(super) fn fate(section: &str, key: &str) -> Option<Fate> {
    table(section)?
        .iter()
        .find(|(name, _)| *name == key || is_ring_addr(section, name, key))
        .map(|(_, f)| *f)
}

/// Keys of a section, for suggestions.
pub(super) fn names(section: &str) -> Vec<&'static str> {
    table(section)
        .unwrap_or_default()
        .iter()
        .map(|(name, _)| *name)
        .collect()
}

/// Sections below a section; `None` = unknown section.
pub(super) fn subsections(section: &str) -> &'static [&'static str] {
    match section {
        "" => &[
            "totem",
            "quorum",
            "nodelist",
            "logging",
            "amf",
            "event",
            "service",
            "aisexec",
            "uidgid",
            "qb",
            "nozzle",
            "system",
            "resources",
        ],
        "totem" => &["interface"],
        "totem.interface" => &["member"],
        "nodelist" => &["node"],
        "logging" => &["logger_subsys", "logger", "logging_daemon"],
        "quorum" => &["device"],
        "quorum.device" => &["net"],
        _ => &[],
    }
}

/// Sections that are read over with one warning: `(path, why)`.
pub(super) const SECTIONS_IGNORED: [(&str, &str); 12] = [
    (
        "quorum.device.heuristics",
        "the witness asks no programs of a node",
    ),
    ("amf", "the AMF service went with Corosync 1"),
    ("event", "the event service went with Corosync 1"),
    ("logging.logger", LOG_LOGGER),
    ("logging.logging_daemon", LOG_LOGGER),
    (
        "service",
        "mainstay is one daemon: there is no plugin to load, ver 0 and 1 mean the same",
    ),
    ("aisexec", "the daemon runs as root"),
    (
        "uidgid",
        "members of group haclient may use the command socket",
    ),
    ("qb", "there is no libqb here"),
    (
        "nozzle",
        "virtual links over the cluster transport are not offered",
    ),
    (
        "system",
        "scheduling and memory locking are the daemon's own business",
    ),
    ("resources", "the watchdog section of Corosync is not read"),
];

fn is_ring_addr(section: &str, name: &str, key: &str) -> bool {
    let ring = key
        .strip_prefix("ring")
        .and_then(|k| k.strip_suffix("_addr"));
    section == "nodelist.node"
        && name == "ring0_addr"
        && ring.is_some_and(|n| n.len() == 1 && n.as_bytes()[0].is_ascii_digit())
}

fn table(section: &str) -> Option<&'static [(&'static str, Fate)]> {
    Some(match section {
        "" => FILE,
        "totem" => TOTEM,
        "totem.interface" => INTERFACE,
        "totem.interface.member" => &[("memberaddr", Used)],
        "nodelist" => &[],
        "nodelist.node" => NODE,
        "quorum" => QUORUM,
        "quorum.device" => DEVICE,
        "quorum.device.net" => NET,
        "logging" => LOGGING,
        "logging.logger_subsys" => SUBSYS,
        _ => return None,
    })
}

/// Outside of any section.
const FILE: &[(&str, Fate)] = &[(
    "compatibility",
    Ignored("what it was compatible with, OpenAIS 0.8, is gone"),
)];

const TOTEM: &[(&str, Fate)] = &[
    ("version", Used),
    ("cluster_name", Used),
    ("token", Used),
    ("transport", Used),
    ("secauth", Used),
    ("crypto_cipher", Used),
    ("crypto_hash", Used),
    ("clear_node_high_bit", Used),
    ("nodeid", Used),
    (
        "rrp_mode",
        Ignored(
            "every link carries heartbeats and data takes the best one, which is passive mode; active mode is not built",
        ),
    ),
    (
        "link_mode",
        Ignored(
            "every link carries heartbeats and data takes the best one, which is passive mode; active mode is not built",
        ),
    ),
    (
        "ip_version",
        Ignored("addresses are used as they are written"),
    ),
    (
        "config_version",
        Ignored("changes of the node list travel in the replicated log"),
    ),
    ("token_coefficient", Ignored(DETECTOR)),
    ("token_retransmit", Ignored(DETECTOR)),
    ("token_retransmits_before_loss_const", Ignored(DETECTOR)),
    ("token_warning", Ignored(DETECTOR)),
    ("hold", Ignored(DETECTOR)),
    ("join", Ignored(NO_RING)),
    ("send_join", Ignored(NO_RING)),
    ("consensus", Ignored(NO_RING)),
    ("merge", Ignored(NO_RING)),
    ("downcheck", Ignored(NO_RING)),
    ("fail_recv_const", Ignored(NO_RING)),
    ("seqno_unchanged_const", Ignored(NO_RING)),
    ("heartbeat_failures_allowed", Ignored(DETECTOR)),
    ("max_network_delay", Ignored(DETECTOR)),
    ("window_size", Ignored(NO_RING)),
    ("max_messages", Ignored(NO_RING)),
    ("miss_count_const", Ignored(NO_RING)),
    ("rrp_problem_count_timeout", Ignored(NO_RING)),
    ("rrp_problem_count_threshold", Ignored(NO_RING)),
    ("rrp_problem_count_mcast_threshold", Ignored(NO_RING)),
    ("rrp_token_expired_timeout", Ignored(NO_RING)),
    ("rrp_autorecovery_check_timeout", Ignored(NO_RING)),
    ("vsftype", Ignored("there is no virtual synchrony filter")),
    ("threads", Ignored("encryption needs no threads of its own")),
    ("netmtu", Ignored("datagrams are at most 1,400 bytes")),
    (
        "block_unlisted_ips",
        Ignored("only authenticated members of the node list are heard"),
    ),
    ("cancel_token_hold_on_retransmit", Ignored(NO_RING)),
    ("crypto_model", Ignored(CRYPTO)),
    ("keyfile", Ignored("the key is /etc/corosync/authkey")),
    (
        "key",
        Ignored("the key is /etc/corosync/authkey: take it out of a file that everybody may read"),
    ),
    ("allow_knet_handle_fallback", Ignored(KNET)),
    ("interface_speed", Ignored(NO_RING)),
    ("knet_pmtud_interval", Ignored(KNET)),
    ("knet_mtu", Ignored(KNET)),
    ("knet_compression_model", Ignored(KNET)),
    ("knet_compression_threshold", Ignored(KNET)),
    ("knet_compression_level", Ignored(KNET)),
    ("ip_dscp", Ignored("packets are not marked")),
];

const INTERFACE: &[(&str, Fate)] = &[
    ("ringnumber", Used),
    ("linknumber", Used),
    ("bindnetaddr", Used),
    ("mcastport", Used),
    (
        "mcastaddr",
        Ignored("heartbeats are unicast to the listed nodes"),
    ),
    (
        "broadcast",
        Ignored("heartbeats are unicast to the listed nodes"),
    ),
    ("ttl", Ignored("heartbeats are unicast to the listed nodes")),
    ("knet_link_priority", Used),
    ("knet_ping_interval", Ignored(KNET)),
    ("knet_ping_timeout", Ignored(KNET)),
    ("knet_ping_precision", Ignored(KNET)),
    ("knet_pong_count", Ignored(KNET)),
    ("knet_transport", Ignored(KNET)),
];

const NODE: &[(&str, Fate)] = &[
    ("ring0_addr", Used),
    ("nodeid", Used),
    ("name", Used),
    ("quorum_votes", Used),
];

const QUORUM: &[(&str, Fate)] = &[
    ("provider", Used),
    ("expected_votes", Used),
    ("two_node", Used),
    ("wait_for_all", Used),
    ("last_man_standing", Used),
    ("last_man_standing_window", Used),
    ("auto_tie_breaker", Used),
    ("auto_tie_breaker_node", Used),
    (
        "allow_downscale",
        Ignored("the configured votes are changed by hand, never by losses"),
    ),
    (
        "expected_votes_tracking",
        Ignored("the configured votes are changed by hand"),
    ),
    ("votes", Ignored("use quorum_votes in nodelist{ node{} }")),
    (
        "leaving_timeout",
        Ignored("a node that leaves says so, and is not waited for"),
    ),
    (
        "cancel_wait_for_all",
        Ignored("it was a command, not a setting"),
    ),
];

const DEVICE: &[(&str, Fate)] = &[
    (
        "experimental",
        Ignored("the witness is no experiment any more: take the line away"),
    ),
    ("model", Used),
    ("votes", Used),
    ("timeout", Ignored(DETECTOR)),
    ("sync_timeout", Ignored(DETECTOR)),
    (
        "master_wins",
        Ignored("the witness promises to one side whatever it asks"),
    ),
];

const NET: &[(&str, Fate)] = &[
    ("host", Used),
    ("port", Used),
    ("algorithm", Used),
    (
        "tie_breaker",
        Ignored("the side that asks the witness first goes on"),
    ),
    (
        "tls",
        Ignored("the witness has the cluster's key: every packet is encrypted with it"),
    ),
    ("connect_timeout", Ignored(DETECTOR)),
    (
        "force_ip_version",
        Ignored("addresses are used as they are written"),
    ),
    (
        "keep_active_partition_tie_breaker",
        Ignored("whoever leads stays as long as it is heard"),
    ),
];

const LOGGING: &[(&str, Fate)] = &[
    ("to_stderr", Used),
    ("to_logfile", Used),
    ("logfile", Used),
    ("to_syslog", Used),
    (
        "to_file",
        Ignored("it is called to_logfile now; naming a logfile is enough"),
    ),
    ("syslog_facility", Used),
    ("debug", Used),
    ("timestamp", Used),
    ("fileline", Used),
    ("function_name", Ignored(LOG_FORM)),
    ("syslog_priority", Ignored(LOG_FORM)),
    ("logfile_priority", Ignored(LOG_FORM)),
    ("blackbox", Ignored(LOG_FORM)),
    ("format", Ignored(LOG_FORM)),
    ("syslog_level", Ignored(LOG_FORM)),
];

const SUBSYS: &[(&str, Fate)] = &[
    ("subsys", Used),
    ("debug", Used),
    ("tags", Ignored(LOG_TAGS)),
    ("to_syslog", Ignored(LOG_SUBSYS)),
    ("to_logfile", Ignored(LOG_SUBSYS)),
    ("logfile", Ignored(LOG_SUBSYS)),
    ("to_stderr", Ignored(LOG_SUBSYS)),
    ("syslog_facility", Ignored(LOG_SUBSYS)),
    ("syslog_priority", Ignored(LOG_SUBSYS)),
    ("logfile_priority", Ignored(LOG_SUBSYS)),
];

const DETECTOR: &str = "the detector's times all follow from `token`";
const NO_RING: &str = "there is no token ring: nodes hear each other directly";
const KNET: &str = "there is no knet: the links have their own heartbeats";
const CRYPTO: &str = "every packet is encrypted with XChaCha20-Poly1305";
const LOG_FORM: &str = "log lines have one form";
const LOG_SUBSYS: &str = "all parts write to the same places";
const LOG_TAGS: &str = "lines have no tags any more";
const LOG_LOGGER: &str = "it is called logger_subsys now";
