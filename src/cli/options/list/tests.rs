use super::super::agent;
use super::super::agent::tests::{Read, assert_form};
use super::*;

const ALL: [List; 3] = [List::Cluster, List::Primitive, List::Fencing];

fn read(list: List) -> Vec<Read> {
    let text = cib::xml::format(&list.element());
    agent::tests::read(&cib::xml::parse(&text).unwrap())
}

#[test]
fn front_ends_find_what_they_read() {
    // xml/api/options-2.37.rng, atomic-types.
    let kinds = [
        "boolean",
        "duration",
        "integer",
        "percentage",
        "port",
        "score",
        "select",
        "string",
        "timeout",
        "version",
    ];
    for list in ALL {
        assert_form(&read(list), &kinds);
    }
}

#[test]
fn what_is_said_of_some_options() {
    let cluster = read(List::Cluster);
    let of = |name: &str| cluster.iter().find(|r| r.name == name).unwrap();
    let policy = of("no-quorum-policy");
    assert_eq!(policy.default.as_deref(), Some("stop"));
    assert!(policy.values.iter().any(|v| v == "freeze"));
    assert_eq!(of("stonith-timeout").kind, "duration");
    assert!(of("stonith-enabled").advanced);
    assert!(of("fencing-enabled").advanced);
    assert!(of("fencing-timeout").long.contains("stonith-timeout"));
    assert_eq!(of("cluster-name").default, None);
    assert_eq!(of("stonith-enabled").deprecated_by, None);
    let moved = of("default-resource-stickiness").deprecated_by.clone();
    assert_eq!(moved.unwrap(), ["resource-stickiness"]);
    assert_eq!(of("cluster-ipc-limit").deprecated_by, Some(Vec::new()));
    assert!(of("enable-acl").long.contains("no effect"));
    let fencing = read(List::Fencing);
    assert_eq!(fencing.len(), 7 + 6 * 3);
    assert!(
        fencing
            .iter()
            .any(|r| r.name == "pcmk_off_timeout" && r.advanced)
    );
}

#[test]
fn text_leaves_out_what_is_for_few() {
    let (some, all) = (List::Cluster.text(false), List::Cluster.text(true));
    assert!(all.starts_with(&some), "more is said behind the rest");
    for name in ["transition-delay", "stonith-enabled", "remove-after-stop"] {
        assert!(!some.contains(&format!("* {name}:")), "{name}");
        assert!(all.contains(&format!("\n    * {name}: ")), "{name}");
    }
    assert!(some.contains(
        "\n\n  * have-watchdog: A watchdog fences nodes in the place of a device\n    * mainstay says false.\n    * Possible values (written by the cluster): boolean (default: \"false\")\n"
    ));
    assert!(all.contains("\n\n  * ADVANCED OPTIONS:\n\n    * "));
    assert!(all.contains("\n\n  * DEPRECATED OPTIONS:\n\n    * "));
    assert!(some.contains("Possible values: \"balanced\", \"default\" (default), "));
    assert!(some.contains("cluster-name: Name of the cluster; "));
    assert!(some.contains("Possible values: string (no default)\n"));
    // Nothing there is for few.
    assert_eq!(List::Primitive.text(false), List::Primitive.text(true));
}

/// The check of a configuration knows the same names, and takes the same values.
#[test]
fn a_configuration_of_defaults_is_taken() {
    let set = |tag: &str, id: &str, known: &[Known]| {
        let pairs: String = known
            .iter()
            .flat_map(|k| {
                let words = k.values.iter().copied();
                let values = words.chain(Some(k.default).filter(|d| !d.is_empty()));
                values.map(|v| (k.name, v)).collect::<Vec<_>>()
            })
            .enumerate()
            .map(|(n, (name, value))| {
                format!("<nvpair id=\"{id}-{n}\" name=\"{name}\" value=\"{value}\"/>")
            })
            .collect();
        format!("<{tag} id=\"{id}\">{pairs}</{tag}>")
    };
    let now = |known: &Known| !matches!(known.level, Level::Deprecated(_));
    let cluster: Vec<Known> = cluster::all().into_iter().filter(now).collect();
    // Only instances of a promotable clone can be promoted, poweroff is an old word, and who ignores
    // the quorum is told what that means.
    let no_clone = |k: &&Known| k.name != "target-role";
    let primitive: Vec<Known> = primitive::ALL.iter().filter(no_clone).copied().collect();
    let text = format!(
        "<cib validate-with=\"pacemaker-3.9\" epoch=\"1\" num_updates=\"0\" admin_epoch=\"0\"><configuration><crm_config>{}</crm_config><nodes/><resources/><constraints/><rsc_defaults>{}</rsc_defaults></configuration><status/></cib>",
        set("cluster_property_set", "cib-bootstrap-options", &cluster),
        set("meta_attributes", "rsc-options", &primitive),
    );
    let cib = cib::Cib::parse(&text).unwrap();
    let found = cib::check::verify(&cib);
    let found: Vec<String> = found
        .iter()
        .map(|finding| format!("{finding:?}"))
        .filter(|text| !text.contains("poweroff") && !text.contains("no-quorum-policy=ignore"))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn another_list_is_wrong_use() {
    let mut console = Console::buffers();
    let lists = [List::Primitive, List::Fencing];
    for asked in ["cluster", "", "primitives"] {
        let failure = List::told(&mut console, asked, &lists, false).unwrap_err();
        assert_eq!(failure.exit, crate::cli::exit::Exit::Usage);
        assert!(failure.text.ends_with("primitive, fencing"), "{failure}");
    }
    assert_eq!(console.into_texts().0, "");
}
