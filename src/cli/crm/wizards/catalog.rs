//! What is offered.

use super::{Kind, Parameter, Wizard};

const fn needed(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter {
        name,
        about,
        kind,
        needed: true,
        default: None,
    }
}

const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter {
        name,
        about,
        kind,
        needed: false,
        default: None,
    }
}

const fn preset(
    name: &'static str,
    kind: Kind,
    about: &'static str,
    default: &'static str,
) -> Parameter {
    Parameter {
        name,
        about,
        kind,
        needed: false,
        default: Some(default),
    }
}

const ID: Parameter = needed("id", Kind::Id, "name of the resource");
const ADDRESS: Parameter = optional(
    "virtual-ip:ip",
    Kind::Address,
    "an address that goes with it, started before it",
);
const NETMASK: Parameter = optional(
    "virtual-ip:cidr_netmask",
    Kind::Text,
    "bits of the address's network, such as 24",
);
/// An address in front of a service, where one is given.
const WITH_ADDRESS: &str = "[primitive {id}-ip ocf:heartbeat:IPaddr2 params ip={virtual-ip:ip}[ cidr_netmask={virtual-ip:cidr_netmask}] op monitor interval=10s timeout=20s]";
const GROUP: &str = "[{?virtual-ip:ip}group g-{id} {id}-ip {id}]";

/// In the order of their categories.
pub(in crate::cli::crm) const WIZARDS: &[Wizard] = &[
    Wizard {
        name: "virtual-ip",
        category: "Basic",
        title: "Floating IP address",
        about: "An address that clients use, on one node at a time. When that node fails, another takes it over.",
        parameters: &[
            ID,
            needed("ip", Kind::Address, "the address, IPv4 or IPv6"),
            optional(
                "cidr_netmask",
                Kind::Text,
                "bits of its network, such as 24; by default those of the interface it fits",
            ),
            optional("broadcast", Kind::Address, "broadcast address"),
            optional("nic", Kind::Text, "interface, where more than one fits"),
        ],
        lines: &[
            "primitive {id} ocf:heartbeat:IPaddr2 params ip={ip}[ cidr_netmask={cidr_netmask}][ broadcast={broadcast}][ nic={nic}] op monitor interval=10s timeout=20s",
        ],
    },
    Wizard {
        name: "service",
        category: "Basic",
        title: "Service of systemd, with or without an address",
        about: "A unit that the cluster starts and stops. Disable it in systemd, so that nobody else starts it at boot.",
        parameters: &[
            ID,
            needed("unit", Kind::Text, "the unit, without .service"),
            ADDRESS,
            NETMASK,
        ],
        lines: &[
            "primitive {id} systemd:{unit} op start interval=0 timeout=100s op stop interval=0 timeout=100s op monitor interval=60s timeout=100s",
            WITH_ADDRESS,
            GROUP,
        ],
    },
    Wizard {
        name: "mailto",
        category: "Basic",
        title: "E-mail at takeover",
        about: "Somebody gets an e-mail whenever the resource moves. Put it into the group that it shall tell of.",
        parameters: &[
            ID,
            needed("email", Kind::Text, "the recipient"),
            optional("subject", Kind::Text, "what stands in front of the subject"),
        ],
        lines: &[
            "primitive {id} ocf:heartbeat:MailTo params email={email}[ subject={subject}] op start interval=0 timeout=10s op stop interval=0 timeout=10s op monitor interval=10s timeout=10s",
        ],
    },
    Wizard {
        name: "ping",
        category: "Basic",
        title: "Look at the network, on every node",
        about: "Every node pings a few hosts, and a resource runs only where at least one of them answers.",
        parameters: &[
            ID,
            needed("host_list", Kind::Text, "hosts, with blanks between them"),
            needed(
                "resource",
                Kind::Id,
                "what shall run only where they answer",
            ),
            preset("dampen", Kind::Text, "how long a change must last", "5s"),
        ],
        lines: &[
            "primitive {id} ocf:pacemaker:ping params host_list={host_list} dampen={dampen} multiplier=1000 op start interval=0 timeout=60s op stop interval=0 timeout=20s op monitor interval=10s timeout=60s",
            "clone c-{id} {id}",
            "location l-{id} {resource} rule -inf: not_defined pingd or pingd lte 0",
        ],
    },
    Wizard {
        name: "database",
        category: "Database",
        title: "MySQL or MariaDB",
        about: "One server whose data is on storage that both nodes reach, or on DRBD.",
        parameters: &[
            ID,
            optional(
                "config",
                Kind::Path,
                "its configuration, such as /etc/my.cnf",
            ),
            optional("datadir", Kind::Path, "directory of its data"),
            ADDRESS,
            NETMASK,
        ],
        lines: &[
            "primitive {id} ocf:heartbeat:mysql[ params config={config}][ params datadir={datadir}] op start interval=0 timeout=120s op stop interval=0 timeout=120s op monitor interval=20s timeout=30s",
            WITH_ADDRESS,
            GROUP,
        ],
    },
    Wizard {
        name: "postgresql",
        category: "Database",
        title: "PostgreSQL",
        about: "One server whose data is on storage that both nodes reach, or on DRBD.",
        parameters: &[
            ID,
            preset(
                "pgdata",
                Kind::Path,
                "directory of its data",
                "/var/lib/pgsql/data",
            ),
            optional("pgctl", Kind::Path, "path of pg_ctl"),
            ADDRESS,
            NETMASK,
        ],
        lines: &[
            "primitive {id} ocf:heartbeat:pgsql params pgdata={pgdata}[ pgctl={pgctl}] op start interval=0 timeout=120s op stop interval=0 timeout=120s op monitor interval=30s timeout=30s",
            WITH_ADDRESS,
            GROUP,
        ],
    },
    Wizard {
        name: "drbd",
        category: "File system",
        title: "DRBD device",
        about: "A device that is mirrored between two nodes, one of which may write. Its configuration in /etc/drbd.d is made by hand.",
        parameters: &[
            ID,
            needed(
                "drbd_resource",
                Kind::Text,
                "its name in DRBD's configuration",
            ),
        ],
        lines: &[
            "primitive {id} ocf:linbit:drbd params drbd_resource={drbd_resource} op start interval=0 timeout=240s op stop interval=0 timeout=100s op monitor interval=29s role=Promoted timeout=20s op monitor interval=31s role=Unpromoted timeout=20s",
            "promotable ms-{id} {id} meta promoted-max=1 promoted-node-max=1 clone-max=2 clone-node-max=1 notify=true",
        ],
    },
    Wizard {
        name: "filesystem",
        category: "File system",
        title: "File system",
        about: "Mounted on one node at a time. It must not stand in /etc/fstab.",
        parameters: &[
            ID,
            needed(
                "device",
                Kind::Text,
                "block device, share, or -U and a UUID",
            ),
            needed("directory", Kind::Path, "where it is mounted"),
            needed("fstype", Kind::Text, "its type, such as xfs"),
            optional("options", Kind::Text, "mount options"),
        ],
        lines: &[
            "primitive {id} ocf:heartbeat:Filesystem params device={device} directory={directory} fstype={fstype}[ options={options}] op start interval=0 timeout=60s op stop interval=0 timeout=60s op monitor interval=20s timeout=40s",
        ],
    },
    Wizard {
        name: "lvm",
        category: "File system",
        title: "LVM volume group",
        about: "Activated on one node at a time, by the system ID of LVM.",
        parameters: &[
            ID,
            needed("vgname", Kind::Text, "the volume group"),
            preset(
                "vg_access_mode",
                Kind::Text,
                "how one node is kept from it while another has it",
                "system_id",
            ),
        ],
        lines: &[
            "primitive {id} ocf:heartbeat:LVM-activate params vgname={vgname} vg_access_mode={vg_access_mode} op start interval=0 timeout=90s op stop interval=0 timeout=90s op monitor interval=30s timeout=90s",
        ],
    },
    Wizard {
        name: "exportfs",
        category: "NFS",
        title: "Directory exported by NFS",
        about: "The server of the kernel runs on every node already; the directory is exported where the resource is.",
        parameters: &[
            ID,
            needed("directory", Kind::Path, "what is exported"),
            needed(
                "clientspec",
                Kind::Text,
                "who may mount it, such as 10.0.0.0/24",
            ),
            needed("options", Kind::Text, "options of the export, such as rw"),
            preset("fsid", Kind::Text, "a number that no other export has", "1"),
        ],
        lines: &[
            "primitive {id} ocf:heartbeat:exportfs params directory={directory} clientspec={clientspec} options={options} fsid={fsid} op start interval=0 timeout=40s op stop interval=0 timeout=120s op monitor interval=10s timeout=20s",
        ],
    },
    Wizard {
        name: "nfsserver",
        category: "NFS",
        title: "NFS server with a file system and an address",
        about: "Mounts the file system, starts the server with its state on it, and brings up the address.",
        parameters: &[
            ID,
            needed("device", Kind::Text, "block device of the file system"),
            needed("directory", Kind::Path, "where it is mounted"),
            needed("fstype", Kind::Text, "its type, such as xfs"),
            needed(
                "virtual-ip:ip",
                Kind::Address,
                "the address that clients mount from",
            ),
            NETMASK,
        ],
        lines: &[
            "primitive {id}-fs ocf:heartbeat:Filesystem params device={device} directory={directory} fstype={fstype} op start interval=0 timeout=60s op stop interval=0 timeout=60s op monitor interval=20s timeout=40s",
            "primitive {id} ocf:heartbeat:nfsserver params nfs_shared_infodir={directory} op start interval=0 timeout=40s op stop interval=0 timeout=20s op monitor interval=10s timeout=20s",
            WITH_ADDRESS,
            "group g-{id} {id}-fs {id} {id}-ip",
        ],
    },
    Wizard {
        name: "apache",
        category: "Server",
        title: "Apache web server",
        about: "One server, with or without an address of its own.",
        parameters: &[
            ID,
            optional("configfile", Kind::Path, "its configuration"),
            optional("statusurl", Kind::Text, "what the monitor asks for"),
            ADDRESS,
            NETMASK,
        ],
        lines: &[
            "primitive {id} ocf:heartbeat:apache[ params configfile={configfile}][ params statusurl={statusurl}] op start interval=0 timeout=40s op stop interval=0 timeout=60s op monitor interval=10s timeout=20s",
            WITH_ADDRESS,
            GROUP,
        ],
    },
    Wizard {
        name: "haproxy",
        category: "Server",
        title: "HAProxy with its address",
        about: "The balancer runs where its address is.",
        parameters: &[
            ID,
            needed(
                "virtual-ip:ip",
                Kind::Address,
                "the address that it listens at",
            ),
            NETMASK,
        ],
        lines: &[
            "primitive {id} systemd:haproxy op start interval=0 timeout=100s op stop interval=0 timeout=100s op monitor interval=10s timeout=20s",
            WITH_ADDRESS,
            GROUP,
        ],
    },
    Wizard {
        name: "nginx",
        category: "Server",
        title: "nginx web server",
        about: "One server, with or without an address of its own.",
        parameters: &[
            ID,
            optional("configfile", Kind::Path, "its configuration"),
            ADDRESS,
            NETMASK,
        ],
        lines: &[
            "primitive {id} ocf:heartbeat:nginx[ params configfile={configfile}] op start interval=0 timeout=60s op stop interval=0 timeout=60s op monitor interval=10s timeout=30s",
            WITH_ADDRESS,
            GROUP,
        ],
    },
    Wizard {
        name: "libvirt",
        category: "Stonith",
        title: "Fencing of virtual machines by their host",
        about: "Power by way of virsh on the host of the virtual machines.",
        parameters: &[
            ID,
            needed("ip", Kind::Text, "the host of the virtual machines"),
            needed("username", Kind::Text, "who logs in there"),
            optional("password", Kind::Text, "password of the login"),
            optional(
                "identity_file",
                Kind::Path,
                "key of the login, instead of a password",
            ),
            optional(
                "pcmk_host_map",
                Kind::Text,
                "node:machine, with ; between, where names differ",
            ),
        ],
        lines: &[
            "primitive {id} stonith:fence_virsh params ip={ip} username={username}[ password={password}][ identity_file={identity_file}][ pcmk_host_map={pcmk_host_map}] op monitor interval=60s timeout=60s",
        ],
    },
    Wizard {
        name: "sbd",
        category: "Stonith",
        title: "Fencing by way of a shared disk",
        about: "The disk is prepared with `sbd create`, and sbd runs on every node.",
        parameters: &[
            preset("id", Kind::Id, "name of the resource", "sbd-fencing"),
            needed(
                "devices",
                Kind::Text,
                "the shared disks, with commas between them",
            ),
        ],
        lines: &[
            "primitive {id} stonith:fence_sbd params devices={devices} op monitor interval=60s timeout=60s",
        ],
    },
];
