//! `logging{}` of corosync.conf as it is understood: where lines go, in which form, and of which
//! parts of the daemon everything is told.

/// `logging{}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// `to_stderr`.
    pub to_stderr: bool,
    /// `logfile`, where `to_logfile` is on.
    pub logfile: Option<String>,
    /// `to_syslog`.
    pub to_syslog: bool,
    /// `syslog_facility`.
    pub syslog_facility: String,
    /// `debug: on`, of all parts that `parts` does not name.
    pub debug: bool,
    /// `logger_subsys{ subsys, debug }`, as they stand in the file.
    pub parts: Vec<(LogPart, bool)>,
    /// `timestamp`: lines of the file and of standard error begin with the time.
    pub timestamp: bool,
    /// `fileline`: the place in the source is told.
    pub fileline: bool,
}

impl Logging {
    /// Whether everything is told of a part: its last `logger_subsys` says so, or else `debug`.
    #[must_use]
    pub fn debug_of(&self, part: LogPart) -> bool {
        let own = self.parts.iter().rev().find(|(p, _)| *p == part);
        own.map_or(self.debug, |(_, debug)| *debug)
    }
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            to_stderr: true,
            logfile: None,
            to_syslog: true,
            syslog_facility: "daemon".to_owned(),
            debug: false,
            parts: Vec::new(),
            timestamp: true,
            fileline: false,
        }
    }
}

/// A part of the daemon, as its lines in the log name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogPart {
    /// The process, its files and its peers' ways to it.
    Main,
    /// Packets, links and streams between nodes.
    Totem,
    /// Who is here, who leads, and who may decide.
    Quorum,
    /// Commands that people and agents give.
    Ipc,
    /// Decisions, operations of agents, and fencing.
    Crm,
    /// Floating addresses.
    Vip,
}

impl LogPart {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Main,
        Self::Totem,
        Self::Quorum,
        Self::Ipc,
        Self::Crm,
        Self::Vip,
    ];

    /// As lines and `subsys` have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Main => "MAIN",
            Self::Totem => "TOTEM",
            Self::Quorum => "QUORUM",
            Self::Ipc => "IPC",
            Self::Crm => "CRM",
            Self::Vip => "VIP",
        }
    }

    /// The part of that name, or the one that does what a subsystem of Corosync of that name did
    /// (corosync.conf(5) and its log lines have these names), in any case.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        let word = word.to_ascii_uppercase();
        let own = Self::ALL.into_iter().find(|part| part.name() == word);
        own.or(match word.as_str() {
            "KNET" | "SYNC" | "SYNCV2" => Some(Self::Totem),
            "VOTEQ" => Some(Self::Quorum),
            "CFG" | "CMAP" | "CONFDB" | "CPG" | "SERV" => Some(Self::Ipc),
            "PCMK" => Some(Self::Crm),
            _ => None,
        })
    }
}
