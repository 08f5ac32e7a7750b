//! Resource agents of other people, one row each: started, watched, broken behind the cluster's
//! back, recovered, stopped. What a machine lacks is named and left out; that is no failure.
//!
//! The floating addresses and the route are served without a process here; the rows
//! `ocf:mainstay:IPaddr2` and so on are the scripts of resource-agents under another provider.

use crate::cluster::{Cluster, brief, not_here, resource};
use crate::config::{Primitive, add, plain, set_meta};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// An agent, and how it is tried.
struct Row {
    id: &'static str,
    agent: &'static str,
    /// `NAME=VALUE`.
    params: &'static [&'static str],
    /// Files that the machine must have.
    needs: &'static [&'static str],
    /// Shell lines in the node before it is configured; failing, the row is left out.
    prepare: &'static str,
    /// Shell line in the node by which the resource fails.
    sabotage: &'static str,
}

const NO_PREPARATION: &str = "true";

#[test]
fn agents_of_other_people_start_fail_recover_and_stop() {
    let test = "agents_of_other_people_start_fail_recover_and_stop";
    if !Path::new(HEARTBEAT).exists() {
        return not_here(test, "package resource-agents is not installed");
    }
    let Some(c) = Cluster::off(test, 1) else {
        return;
    };
    for kind in SCRIPTS_OF_NATIVE_ONES {
        copy_script(&c, kind);
    }
    c.power_on();
    let rows: Vec<&Row> = ROWS.iter().filter(|row| is_ready(&c, row)).collect();
    assert!(rows.len() >= ROWS_MIN, "only {} agents to try", rows.len());
    c.must_edit("node1", |cib| {
        plain(cib);
        for row in &rows {
            add(cib, primitive(row));
        }
    });

    for row in &rows {
        await_role(&c, row, "Started");
    }
    c.wait_idle("node1");
    for row in &rows {
        // Its first word is what it waits for: what the agent told the cluster, a pid file.
        c.wait_until(row.sabotage, "node1", || {
            let done = c.sh("node1", row.sabotage);
            done.ok().then_some(()).ok_or_else(|| format!("{done:?}"))
        });
    }
    for row in &rows {
        await_failure(&c, row);
    }
    for row in &rows {
        await_role(&c, row, "Started");
    }
    c.wait_idle("node1");

    c.must_edit("node1", |cib| {
        for row in &rows {
            set_meta(cib, row.id, "target-role", Some("Stopped"));
        }
    });
    for row in &rows {
        await_role(&c, row, "Stopped");
    }
    c.wait_idle("node1");
    // The agents' own word for it.
    for row in &rows {
        let line = format!("crm_resource --force-check -r {}", row.id);
        let checked = c.sh("node1", &line);
        assert_eq!(checked.code, NOT_RUNNING, "{}: {checked:?}", row.agent);
    }
    let tried: Vec<&str> = rows.iter().map(|r| r.agent).collect();
    eprintln!("{} agents ran: {}", tried.len(), tried.join(" "));
}

/// Whether the machine has what the row needs; says so if not.
fn is_ready(c: &Cluster, row: &Row) -> bool {
    let mut spec = row.agent.split(':').skip(1);
    let (provider, kind) = (spec.next().unwrap(), spec.next().unwrap());
    let provider = match provider {
        "mainstay" => "heartbeat",
        other => other,
    };
    let script = format!("/usr/lib/ocf/resource.d/{provider}/{kind}");
    let mut needed = row.needs.iter().copied().chain([script.as_str()]);
    if let Some(missing) = needed.find(|path| !Path::new(path).exists()) {
        not_here(row.agent, &format!("{missing} is not installed"));
        return false;
    }
    let prepared = c.sh("node1", row.prepare);
    if !prepared.ok() {
        not_here(row.agent, &format!("`{}`: {prepared:?}", row.prepare));
    }
    prepared.ok()
}

fn primitive(row: &Row) -> Primitive {
    let bare = Primitive::new(row.id, row.agent);
    let with = |p: Primitive, pair: &&str| {
        let (name, value) = pair.split_once('=').unwrap();
        p.param(name, value)
    };
    row.params
        .iter()
        .fold(bare, with)
        .op("monitor", "1s", "30s")
        .op("start", "0", "60s")
        .op("stop", "0", "60s")
}

fn await_role(c: &Cluster, row: &Row, role: &str) {
    c.wait_for(
        "node1",
        &format!("{} {role}", row.agent),
        |s| match resource(s, row.id) {
            Some(r) if r.role == role => Ok(()),
            Some(r) => Err(format!("{}: {:?}", r.role, r.failures)),
            None => Err(brief(s)),
        },
    );
}

fn await_failure(c: &Cluster, row: &Row) {
    let what = format!("`{}` noticed by {}", row.sabotage, row.agent);
    c.wait_for("node1", &what, |s| {
        match s.failcounts.iter().any(|f| f.resource == row.id) {
            true => Ok(()),
            false => Err(format!("{:?}", resource(s, row.id))),
        }
    });
}

/// Puts the script of resource-agents under a name that mainstay does not serve by itself.
fn copy_script(c: &Cluster, kind: &str) {
    let from = Path::new(HEARTBEAT).join(kind);
    let to = c.dir().join("skeleton/usr-lib/ocf/resource.d/mainstay");
    if from.exists() {
        let to = to.join(kind);
        std::fs::copy(&from, &to).unwrap();
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

const ROWS: [Row; 30] = [
    Row {
        id: "dummy",
        agent: "ocf:heartbeat:Dummy",
        params: &["state=/run/dummy.state"],
        needs: &[],
        prepare: NO_PREPARATION,
        sabotage: "rm /run/dummy.state",
    },
    Row {
        id: "dummy2",
        agent: "ocf:pacemaker:Dummy",
        params: &["state=/run/dummy2.state"],
        needs: &[],
        prepare: NO_PREPARATION,
        sabotage: "rm /run/dummy2.state",
    },
    Row {
        id: "dummypy",
        agent: "ocf:heartbeat:dummypy",
        params: &["state=/run/dummypy.state"],
        needs: &["/usr/bin/python3"],
        prepare: NO_PREPARATION,
        sabotage: "rm /run/dummypy.state",
    },
    Row {
        id: "stateful",
        agent: "ocf:heartbeat:Stateful",
        params: &["state=/run/stateful.state"],
        needs: &[],
        prepare: NO_PREPARATION,
        sabotage: "rm /run/stateful.state",
    },
    Row {
        id: "stateful2",
        agent: "ocf:pacemaker:Stateful",
        params: &["state=/run/stateful2.state"],
        needs: &[],
        prepare: NO_PREPARATION,
        sabotage: "rm /run/stateful2.state",
    },
    Row {
        id: "delay",
        agent: "ocf:heartbeat:Delay",
        params: &["startdelay=0", "stopdelay=0", "mondelay=0"],
        needs: &[],
        prepare: NO_PREPARATION,
        sabotage: "rm /run/resource-agents/Delay_delay",
    },
    Row {
        id: "ip",
        agent: "ocf:heartbeat:IPaddr2",
        params: &["ip=10.77.0.60", "cidr_netmask=24"],
        needs: &[],
        prepare: NO_PREPARATION,
        // Put back at once, and counted.
        sabotage: "ip addr del 10.77.0.60/24 dev eth0",
    },
    Row {
        id: "ip2",
        agent: "ocf:mainstay:IPaddr2",
        params: &["ip=10.77.0.61", "cidr_netmask=24", "nic=eth0"],
        needs: &["/sbin/ip"],
        prepare: NO_PREPARATION,
        sabotage: "ip addr del 10.77.0.61/24 dev eth0",
    },
    Row {
        id: "route",
        agent: "ocf:mainstay:Route",
        params: &["destination=10.99.0.0/16", "device=eth0"],
        needs: &["/sbin/ip"],
        prepare: NO_PREPARATION,
        sabotage: "ip route del 10.99.0.0/16 dev eth0",
    },
    Row {
        id: "fs",
        agent: "ocf:heartbeat:Filesystem",
        params: &["device=tmpfs", "directory=/run/fs", "fstype=tmpfs"],
        needs: &["/sbin/modprobe"],
        prepare: "mkdir -p /run/fs",
        sabotage: "umount /run/fs",
    },
    Row {
        id: "symlink",
        agent: "ocf:heartbeat:symlink",
        params: &["link=/run/symlink", "target=/etc/hostname"],
        needs: &[],
        prepare: NO_PREPARATION,
        sabotage: "rm /run/symlink",
    },
    Row {
        id: "anything",
        agent: "ocf:heartbeat:anything",
        params: &[
            "binfile=/bin/sleep",
            "cmdline_options=1000000",
            "pidfile=/run/anything.pid",
        ],
        needs: &["/bin/sleep", "/bin/su"],
        prepare: NO_PREPARATION,
        sabotage: "kill -9 $(cat /run/anything.pid)",
    },
    Row {
        id: "mon",
        agent: "ocf:heartbeat:ClusterMon",
        params: &[
            "update=1",
            "pidfile=/run/mon.pid",
            "htmlfile=/run/mon.html",
        ],
        needs: &[],
        prepare: NO_PREPARATION,
        sabotage: "grep -q 'Cluster Summary' /run/mon.html && kill -9 $(cat /run/mon.pid)",
    },
    Row {
        id: "mon2",
        agent: "ocf:pacemaker:ClusterMon",
        params: &[
            "update=1000",
            "pidfile=/run/mon2.pid",
            "htmlfile=/run/mon2.html",
        ],
        needs: &[],
        prepare: NO_PREPARATION,
        sabotage: "grep -q 'Cluster Summary' /run/mon2.html && kill -9 $(cat /run/mon2.pid)",
    },
    Row {
        id: "sysinfo",
        agent: "ocf:heartbeat:SysInfo",
        params: &["pidfile=/run/sysinfo"],
        needs: &[],
        prepare: NO_PREPARATION,
        sabotage: "rm /run/sysinfo",
    },
    Row {
        id: "sysinfo2",
        agent: "ocf:pacemaker:SysInfo",
        params: &["pidfile=/run/sysinfo2"],
        needs: &[],
        prepare: NO_PREPARATION,
        sabotage: "crm_mon -1A | grep -q cpu_cores && rm /run/sysinfo2",
    },
    Row {
        id: "attribute",
        agent: "ocf:pacemaker:attribute",
        params: &["name=opa", "active_value=1", "inactive_value=0"],
        needs: &[],
        prepare: NO_PREPARATION,
        sabotage: "attrd_updater -n opa -U 5",
    },
    Row {
        id: "ping",
        agent: "ocf:pacemaker:ping",
        params: &[
            "host_list=127.0.0.1",
            "attempts=1",
            "dampen=0",
            "pidfile=/run/ping",
        ],
        needs: &["/bin/ping"],
        prepare: NO_PREPARATION,
        sabotage: "attrd_updater -Q -n pingd | grep -q 'value=\"1\"' && rm /run/ping",
    },
    Row {
        id: "cpu",
        agent: "ocf:pacemaker:HealthCPU",
        params: &["state=/run/cpu.state"],
        needs: &["/usr/bin/top"],
        prepare: NO_PREPARATION,
        sabotage: "rm /run/cpu.state",
    },
    Row {
        id: "iowait",
        agent: "ocf:pacemaker:HealthIOWait",
        params: &["state=/run/iowait.state"],
        needs: &["/usr/bin/top"],
        prepare: NO_PREPARATION,
        sabotage: "rm /run/iowait.state",
    },
    Row {
        id: "smart",
        agent: "ocf:pacemaker:HealthSMART",
        params: &["state=/run/smart.state"],
        needs: &["/usr/sbin/smartctl"],
        prepare: "smartctl --scan | grep -q /dev",
        sabotage: "rm /run/smart.state",
    },
    Row {
        id: "capacity",
        agent: "ocf:heartbeat:NodeUtilization",
        params: &[],
        needs: &["/usr/bin/bc"],
        prepare: NO_PREPARATION,
        sabotage: "crm_attribute -z -N node1 -n cpu -G -q && rm /run/resource-agents/NodeUtilization.capacity",
    },
    Row {
        id: "eth",
        agent: "ocf:heartbeat:ethmonitor",
        params: &["interface=eth0", "link_status_only=true"],
        needs: &["/usr/bin/arping", "/usr/bin/bc"],
        prepare: NO_PREPARATION,
        sabotage: "attrd_updater -Q -n ethmonitor-eth0 && rm /run/resource-agents/eth",
    },
    Row {
        id: "port",
        agent: "ocf:heartbeat:portblock",
        params: &["protocol=tcp", "portno=7777", "action=block"],
        needs: &["/usr/sbin/iptables"],
        prepare: "iptables -L -n",
        sabotage: "iptables -F && rm /run/resource-agents/port",
    },
    Row {
        id: "lb",
        agent: "ocf:heartbeat:azure-lb",
        params: &["nc=/usr/bin/socat", "port=61000"],
        needs: &["/usr/bin/socat"],
        prepare: NO_PREPARATION,
        sabotage: "kill -9 $(cat /run/lb.pid)",
    },
    Row {
        id: "rsync",
        agent: "ocf:heartbeat:rsyncd",
        params: &["conffile=/run/rsyncd.conf"],
        needs: &["/usr/bin/rsync"],
        prepare: "printf 'pid file = /run/rsyncd.pid\\nport = 8873\\n' >/run/rsyncd.conf",
        sabotage: "kill -9 $(cat /run/rsyncd.pid); rm /run/rsyncd.pid",
    },
    Row {
        id: "apache",
        agent: "ocf:heartbeat:apache",
        params: &[
            "httpd=/usr/sbin/apache2",
            "configfile=/run/apache.conf",
            "envfiles=/run/apache.env",
            "statusurl=http://127.0.0.1:8081/",
            "testregex=.*",
        ],
        needs: &["/usr/sbin/apache2", "/usr/bin/wget"],
        prepare: "mkdir -p /run/www && echo up >/run/www/index.html && : >/run/apache.env
            m=/usr/lib/apache2/modules
            printf '%s\\n' 'ServerRoot /run' 'ServerName node1' 'Listen 127.0.0.1:8081' \
                'PidFile /run/apache.pid' 'ErrorLog /run/apache.log' 'DocumentRoot /run/www' \
                \"LoadModule mpm_event_module $m/mod_mpm_event.so\" \
                \"LoadModule authz_core_module $m/mod_authz_core.so\" \
                \"LoadModule dir_module $m/mod_dir.so\" >/run/apache.conf",
        sabotage: "kill $(cat /run/apache.pid)",
    },
    Row {
        id: "nginx",
        agent: "ocf:heartbeat:nginx",
        params: &[
            "httpd=/usr/sbin/nginx",
            "configfile=/run/nginx.conf",
            "status10url=http://127.0.0.1:8082/",
        ],
        needs: &["/usr/sbin/nginx"],
        prepare: "mkdir -p /var/log/nginx /var/lib/nginx
            echo 'pid /run/nginx.pid; error_log /run/nginx.log; events {} http { access_log off;
            server { listen 127.0.0.1:8082; location / { return 200 up; } } }' >/run/nginx.conf",
        sabotage: "kill $(cat /run/nginx.pid)",
    },
    Row {
        id: "redis",
        agent: "ocf:heartbeat:redis",
        params: &["config=/run/redis.conf", "rundir=/run/redis", "user=redis"],
        needs: &["/usr/bin/redis-server", "/usr/bin/redis-cli"],
        prepare: "mkdir -p /run/redis && chown redis /run/redis
            printf 'port 6380\\nbind 127.0.0.1\\ndir /run/redis\\nsave \"\"\\n' >/run/redis.conf",
        sabotage: "kill -9 $(cat /run/redis/redis-server.pid)",
    },
    Row {
        id: "pgsql",
        agent: "ocf:heartbeat:pgsql",
        params: &[
            "pgctl=/run/pg/pg_ctl",
            "psql=/usr/bin/psql",
            "pgdata=/run/pg/data",
            "pgdba=postgres",
            "tmpdir=/run/pg/tmp",
            "logfile=/run/pg/log",
        ],
        needs: &["/usr/bin/psql", "/usr/lib/postgresql"],
        prepare: "mkdir -p /run/pg /run/postgresql && chown postgres /run/pg /run/postgresql
            bin=$(dirname $(ls /usr/lib/postgresql/*/bin/pg_ctl | tail -1)) && ln -sf $bin/pg_ctl /run/pg/
            su postgres -s /bin/sh -c \"$bin/initdb -N -A trust -D /run/pg/data\"",
        sabotage: "kill -9 $(head -1 /run/pg/data/postmaster.pid)",
    },
];

/// Agents that mainstay serves by itself, whose scripts are tried all the same.
const SCRIPTS_OF_NATIVE_ONES: [&str; 2] = ["IPaddr2", "Route"];
/// Where resource-agents keeps its scripts.
const HEARTBEAT: &str = "/usr/lib/ocf/resource.d/heartbeat";
/// Fewer than that on a machine with resource-agents: the test, or the package, is broken.
const ROWS_MIN: usize = 10;
/// OCF's exit code for a resource that does not run.
const NOT_RUNNING: i32 = 7;
