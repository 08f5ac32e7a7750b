//! What `scripts/install` puts where, and that `scripts/uninstall` takes all of it back and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A system to install into, and something to install.
struct Target {
    root: tempfile::TempDir,
    built: tempfile::TempDir,
}

impl Target {
    fn new() -> Self {
        let built = tempfile::tempdir().unwrap();
        let release = built.path().join("release");
        fs::create_dir(&release).unwrap();
        for name in ["mainstay", "mainstayd", "mainstay-lab", "mainstay-witness"] {
            fs::write(release.join(name), name).unwrap();
        }
        let root = tempfile::tempdir().unwrap();
        Self { root, built }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn run(&self, script: &str, more: &[&str]) {
        let output = Command::new("sh")
            .arg("-e")
            .arg(
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("scripts")
                    .join(script),
            )
            .arg("--destdir")
            .arg(self.root.path())
            .args(more)
            .env("CARGO_TARGET_DIR", self.built.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
    }

    /// Every file and link below the root, with what it holds or where it leads.
    fn files(&self) -> BTreeMap<PathBuf, String> {
        let mut files = BTreeMap::new();
        let mut dirs = vec![self.root.path().to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(self.root.path()).unwrap().to_owned();
                if path.is_symlink() {
                    files.insert(
                        name,
                        format!("-> {}", fs::read_link(&path).unwrap().display()),
                    );
                } else if path.is_dir() {
                    dirs.push(path);
                } else {
                    files.insert(name, fs::read_to_string(&path).unwrap_or_default());
                }
            }
        }
        files
    }
}

#[test]
fn what_is_installed_is_removed_again() {
    let target = Target::new();
    // Slackware has its scripts there.
    fs::create_dir_all(target.at("etc/rc.d")).unwrap();
    target.run("install", &["--compat"]);
    let files = target.files();
    let link = |path: &str| files.get(Path::new(path)).map(String::as_str);
    assert_eq!(
        link("usr/local/sbin/crm"),
        Some("-> /usr/local/sbin/mainstay")
    );
    for daemon in mainstay::cli::DAEMONS {
        assert_eq!(
            link(&format!("usr/lib/pacemaker/{}", daemon.name)),
            Some("-> /usr/local/sbin/mainstay")
        );
    }
    for name in ["corosync", "pacemaker"] {
        let unit = format!("usr/lib/systemd/system/{name}.service");
        assert_eq!(link(&unit), Some("-> mainstay.service"));
        assert_eq!(link(&format!("etc/init.d/{name}")), Some("-> mainstay"));
        let slackware = format!("etc/rc.d/rc.{name}");
        assert_eq!(link(&slackware), Some("-> /etc/init.d/mainstay"));
    }
    let unit = link("usr/lib/systemd/system/mainstay.service").unwrap();
    assert!(
        unit.contains("ExecStart=/usr/local/sbin/mainstayd"),
        "{unit}"
    );
    // It has these names now.
    assert!(!unit.contains("Conflicts="), "{unit}");
    let script = link("etc/init.d/mainstay").unwrap();
    assert!(
        script.contains("DAEMON=/usr/local/sbin/mainstayd"),
        "{script}"
    );
    target.run("uninstall", &[]);
    assert_eq!(target.files(), BTreeMap::new());
}

/// What the slides type, `systemctl start corosync` and `pacemaker`: systemd itself, on the installed
/// files and without running, takes both names for one unit. A lab has no systemd that runs.
#[test]
fn systemd_takes_both_names_for_one_unit() {
    let systemctl = |target: &Target, words: &[&str]| {
        let mut command = Command::new("systemctl");
        command.arg(format!("--root={}", target.root.path().display()));
        command.args(words).output()
    };
    let target = Target::new();
    target.run("install", &["--compat"]);
    if systemctl(&target, &["--version"]).is_err() {
        println!("skipped: systemctl is not installed");
        return;
    }
    for name in ["corosync", "pacemaker"] {
        let answer = systemctl(&target, &["is-enabled", name]).unwrap();
        assert_eq!(String::from_utf8_lossy(&answer.stdout), "alias\n", "{name}");
    }
}

#[test]
fn a_log_is_rotated_whether_it_is_a_file_or_in_a_directory() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let text = fs::read_to_string(scripts.join("init/logrotate")).unwrap();
    for log in ["corosync", "corosync/corosync.log", "cluster/corosync.log"] {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::create_dir_all(at(log).parent().unwrap()).unwrap();
        fs::write(at(log), "told\n").unwrap();
        let text = text.replace("/var/log/", &format!("{}/", dir.path().display()));
        fs::write(at("rules"), text.replace("/run/mainstay/", "/nonexistent/")).unwrap();
        fs::set_permissions(at("rules"), fs::Permissions::from_mode(0o644)).unwrap();
        let argv = [
            "--force".into(),
            "--state".into(),
            at("state").into_os_string(),
        ];
        let Ok(done) = Command::new("/usr/sbin/logrotate")
            .args(argv)
            .arg(at("rules"))
            .output()
        else {
            println!("skipped: logrotate is not installed");
            return;
        };
        assert!(
            done.status.success() && done.stderr.is_empty(),
            "{log}: {done:?}"
        );
        assert!(!at(log).exists(), "{log}: {done:?}");
        assert_eq!(
            fs::read_to_string(at(&format!("{log}.1"))).unwrap(),
            "told\n"
        );
    }
}

#[test]
fn names_that_others_have_stay_theirs() {
    let target = Target::new();
    let theirs = [
        "usr/local/sbin/crm_mon",
        "usr/lib/pacemaker/pacemaker-controld",
        "usr/lib/systemd/system/corosync.service",
        "etc/init.d/corosync",
    ];
    for path in theirs {
        fs::create_dir_all(target.at(path).parent().unwrap()).unwrap();
        fs::write(target.at(path), "theirs").unwrap();
    }
    fs::create_dir_all(target.at("usr/lib/systemd/system")).unwrap();
    let elsewhere = target.at("usr/lib/systemd/system/pacemaker.service");
    symlink("elsewhere.service", elsewhere).unwrap();
    let before = target.files();
    target.run("install", &["--compat"]);
    let files = target.files();
    for (path, content) in &before {
        assert_eq!(files.get(path), Some(content), "{}", path.display());
    }
    let unit = &files[Path::new("usr/lib/systemd/system/mainstay.service")];
    assert!(
        unit.contains("Conflicts=corosync.service pacemaker.service"),
        "{unit}"
    );
    target.run("uninstall", &[]);
    assert_eq!(target.files(), before);
}
