use super::*;
use crate::ipc::Edit;
use cib::Element;
use membership::{FenceResult, Member, View};
use wire::{Identity, MachineBoot, NodeId, ProcessBoot};

fn identity(node: u32, boot: u8) -> Identity {
    Identity {
        node: NodeId(node),
        machine_boot: MachineBoot([boot; 16]),
        process_boot: ProcessBoot([boot; 16]),
        incarnation: u64::from(boot),
    }
}

fn ballot(counter: u64) -> Ballot {
    Ballot { counter, node: 1 }
}

fn view(view_no: u64, nodes: &[u32]) -> EntryBody {
    let members = nodes
        .iter()
        .map(|n| Member {
            identity: identity(*n, 1),
            votes: 1,
        })
        .collect();
    EntryBody::View(View {
        ballot: ballot(1),
        view_no,
        members,
    })
}

/// A change that adds a property.
fn property(replica: &Replica, name: &str, base: Option<(u64, u64)>) -> LoggedChange {
    let mut new = replica.cib().clone();
    let nvpair = Element::new("nvpair")
        .with("id", name)
        .with("name", name)
        .with("value", "1");
    let config = new.section_mut(cib::Section::CrmConfig);
    config.children.push(
        Element::new("cluster_property_set")
            .with("id", &format!("set-{name}"))
            .child(nvpair),
    );
    let patch = Patch::between(replica.cib().root(), new.root()).unwrap();
    let edit = Edit::Patch(cib::xml::compact(&patch.to_xml()));
    LoggedChange {
        base,
        ..LoggedChange::own(1_700_000_000, "n1", edit)
    }
}

fn app(seq: u64, counter: u64, op: u8, payload: Vec<u8>) -> Entry {
    let body = EntryBody::App {
        op: OpId([op; 16]),
        origin: NodeId(1),
        payload,
    };
    Entry {
        seq,
        ballot: ballot(counter),
        body,
    }
}

fn epoch(replica: &Replica) -> u64 {
    replica.cib().version().epoch
}

#[test]
fn a_change_makes_a_new_version_with_its_author() {
    let mut replica = Replica::default();
    let change = property(&replica, "a", None);
    let applied = replica.apply(&app(1, 1, 1, change.encode()));
    let (op, outcome) = applied.outcome.unwrap();
    assert_eq!(
        (op, outcome.clone().unwrap()),
        (OpId([1; 16]), replica.cib().version())
    );
    let version = applied.configuration.unwrap();
    assert_eq!(version.author, Some(change));
    assert!(version.diff.contains("set-a"), "{}", version.diff);
    assert_eq!(
        replica.cib().root().attr("update-client"),
        Some("mainstayd")
    );
    assert_eq!(
        replica.cib().root().attr("cib-last-written"),
        Some("Tue Nov 14 22:13:20 2023")
    );
    assert_eq!(replica.outcome(op), Some(&outcome));
}

#[test]
fn an_entry_is_applied_once() {
    let mut replica = Replica::default();
    let entry = app(1, 1, 1, property(&replica, "a", None).encode());
    replica.apply(&entry);
    let after = replica.cib().to_compact();
    assert!(replica.apply(&entry).configuration.is_none());
    assert_eq!(replica.cib().to_compact(), after);
}

#[test]
fn a_change_against_an_older_version_conflicts() {
    let mut replica = Replica::default();
    let old = property(&replica, "b", Some((0, epoch(&replica))));
    replica.apply(&app(1, 1, 1, property(&replica, "a", None).encode()));
    let (_, outcome) = replica.apply(&app(2, 1, 2, old.encode())).outcome.unwrap();
    let rejection = outcome.unwrap_err();
    assert_eq!(rejection.kind, RejectionKind::Conflict);
    assert!(rejection.text.contains("repeat the change"), "{rejection}");
}

#[test]
fn a_new_ballot_bumps_the_epoch() {
    let mut replica = Replica::default();
    replica.apply(&Entry {
        seq: 1,
        ballot: ballot(1),
        body: EntryBody::Noop,
    });
    let first = epoch(&replica);
    replica.apply(&Entry {
        seq: 2,
        ballot: ballot(1),
        body: EntryBody::Noop,
    });
    assert_eq!(epoch(&replica), first);
    replica.apply(&Entry {
        seq: 3,
        ballot: ballot(2),
        body: EntryBody::Noop,
    });
    assert_eq!(epoch(&replica), first + 1);
}

#[test]
fn nonsense_is_refused_and_changes_nothing() {
    let mut replica = Replica::default();
    replica.apply(&Entry {
        seq: 1,
        ballot: ballot(1),
        body: EntryBody::Noop,
    });
    let before = replica.cib().to_compact();
    let edits = [
        Edit::Patch("<diff".to_owned()),
        Edit::Patch(
            "<diff format=\"2\"><change operation=\"modify\" path=\"/cib/none\"><change-list/><change-result/></change></diff>"
                .to_owned(),
        ),
        Edit::Configuration("<resources/>".to_owned()),
        Edit::Configuration("<!DOCTYPE x><configuration/>".to_owned()),
    ];
    let mut payloads: Vec<_> = edits
        .into_iter()
        .map(|e| LoggedChange::own(0, "n", e).encode())
        .collect();
    payloads.push(vec![0xff; 40]);
    payloads.push(Vec::new());
    for (at, payload) in payloads.into_iter().enumerate() {
        let seq = at as u64 + 2;
        let (_, outcome) = replica
            .apply(&app(seq, 1, at as u8, payload))
            .outcome
            .unwrap();
        assert!(outcome.is_err(), "{at}");
        assert_eq!(replica.cib().to_compact(), before, "{at}");
    }
}

#[test]
fn a_snapshot_holds_everything() {
    let mut replica = Replica::default();
    replica.apply(&Entry {
        seq: 1,
        ballot: ballot(1),
        body: view(1, &[1, 2]),
    });
    replica.apply(&app(2, 1, 1, property(&replica, "a", None).encode()));
    let again = Replica::restore(&replica.snapshot().unwrap()).unwrap();
    assert_eq!(again.cib().to_compact(), replica.cib().to_compact());
    assert_eq!(
        (again.seq(), again.standings()),
        (replica.seq(), replica.standings())
    );
    assert_eq!(again.outcome(OpId([1; 16])), replica.outcome(OpId([1; 16])));
    assert_eq!(Replica::restore(&[]).unwrap().seq(), 0);
    assert!(Replica::restore(&[9, 9]).is_err());
}

#[test]
fn standings_follow_views_goodbyes_and_certificates() {
    let mut replica = Replica::default();
    let mut seq = 0;
    let mut apply = |body: EntryBody| {
        seq += 1;
        replica.apply(&Entry {
            seq,
            ballot: ballot(1),
            body,
        });
        replica.standings().clone()
    };
    let standings = apply(view(1, &[1, 2, 3]));
    assert_eq!(standings.of(2), Some(Standing::Member(identity(2, 1))));
    assert_eq!(standings.of(9), None);
    // Lost without a word: still a member as far as its resources go.
    let standings = apply(view(2, &[1, 3]));
    assert_eq!(standings.members(), [1, 3]);
    assert_eq!(standings.of(2), Some(Standing::Member(identity(2, 1))));
    let standings = apply(EntryBody::CleanLeft {
        identity: identity(3, 1),
    });
    assert_eq!(standings.of(3), Some(Standing::Left(identity(3, 1))));
    let certificate = |boot: u8| {
        EntryBody::FenceResult(FenceResult {
            fence_no: 1,
            target: NodeId(2),
            machine_boot: Some(MachineBoot([boot; 16])),
            incarnation: None,
            outcome: Ok("device".to_owned()),
        })
    };
    // I15: the certificate of another boot proves nothing about this one.
    let standings = apply(certificate(7));
    assert_eq!(standings.of(2), Some(Standing::Member(identity(2, 1))));
    let standings = apply(certificate(1));
    assert_eq!(
        standings.of(2),
        Some(Standing::Fenced(Some(MachineBoot([1; 16]))))
    );
}

/// A change of the whole configuration, whatever it was before.
fn whole(sections: &str) -> LoggedChange {
    let xml = format!("<configuration>{sections}</configuration>");
    LoggedChange::own(0, "n1", Edit::Configuration(xml))
}

fn patch(changes: &str) -> LoggedChange {
    let xml = format!("<diff format=\"2\">{changes}</diff>");
    LoggedChange::own(0, "n1", Edit::Patch(xml))
}

const SECTIONS: &str = "<crm_config/><nodes/><resources><primitive id=\"a\" class=\"ocf\" provider=\"heartbeat\" type=\"Dummy\"/></resources><constraints/>";
const WITHOUT_A: &str =
    "<change operation=\"delete\" path=\"/cib/configuration/resources/primitive[@id='a']\"/>";
const BOUND_TO_A: &str = "<change operation=\"create\" path=\"/cib/configuration/constraints\" position=\"0\"><rsc_location id=\"l\" rsc=\"a\" node=\"n1\" score=\"5\"/></change>";

#[test]
fn nodes_that_judge_differently_hold_one_configuration() {
    // Another release, with rules of its own, found these sound; this one does not.
    let misspelt = patch(
        "<change operation=\"create\" path=\"/cib/configuration/resources\" position=\"1\"><primitiv id=\"b\"/></change>",
    );
    let unheard_of = whole(&format!("{SECTIONS}<fences/>"));
    let odd = "<primitive id=\"b\" class=\"lsb\" type=\"x\"><meta_attributes id=\"m\"><nvpair id=\"p\" name=\"is-managed\" value=\"perhaps\"/></meta_attributes></primitive>";
    let odd = whole(&SECTIONS.replace("<resources>", &format!("<resources>{odd}")));
    for change in [misspelt, unheard_of, odd] {
        let [mut strict, mut lenient] = [(); 2].map(|()| Replica::default());
        for replica in [&mut strict, &mut lenient] {
            replica.apply(&app(1, 1, 1, whole(SECTIONS).encode()));
        }
        let rejection = strict.judge(&change).unwrap_err();
        assert_eq!(rejection.kind, RejectionKind::Config, "{rejection}");
        let entry = app(2, 1, 2, change.encode());
        let outcomes = [&mut strict, &mut lenient].map(|r| r.apply(&entry).outcome.unwrap().1);
        assert_eq!(outcomes[0], Ok(strict.cib().version()));
        assert_eq!(outcomes[0], outcomes[1]);
        assert_eq!(strict.cib(), lenient.cib());
        // It stands, and keeps nobody from anything else.
        assert_eq!(strict.judge(&patch(BOUND_TO_A)), Ok(()));
    }
}

#[test]
fn two_sound_changes_that_do_not_fit_together_are_not_both_made() {
    for (one, other) in [(WITHOUT_A, BOUND_TO_A), (BOUND_TO_A, WITHOUT_A)] {
        let mut replica = Replica::default();
        replica.apply(&app(1, 1, 1, whole(SECTIONS).encode()));
        let (one, other) = (patch(one), patch(other));
        for change in [&one, &other] {
            assert_eq!(replica.judge(change), Ok(()));
        }
        replica
            .apply(&app(2, 1, 2, one.encode()))
            .outcome
            .unwrap()
            .1
            .unwrap();
        let applied = replica.apply(&app(3, 1, 3, other.encode()));
        let rejection = applied.outcome.unwrap().1.unwrap_err();
        assert_eq!(rejection.kind, RejectionKind::Config);
        let told = "error: <rsc_location id=\"l\">: \"a\" does not exist";
        assert!(rejection.text.starts_with(told), "{rejection}");
    }
}

#[test]
fn a_change_of_nothing_makes_no_version() {
    let mut replica = Replica::default();
    let nothing = LoggedChange::of_nothing(0, "n1");
    for seq in [1, 3] {
        replica.apply(&app(seq, 1, 1, whole(SECTIONS).encode()));
        let applied = replica.apply(&app(seq + 1, 1, 2, nothing.encode()));
        assert_eq!(applied.outcome.unwrap().1, Ok(replica.cib().version()));
        assert_eq!(applied.configuration, None);
    }
    assert!(nothing.is_nothing());
    assert!(!whole(SECTIONS).is_nothing());
}

#[test]
fn a_refusal_is_of_the_past_only_where_the_configuration_is_not_the_one_meant() {
    let mut replica = Replica::default();
    replica.apply(&app(1, 1, 1, whole(SECTIONS).encode()));
    let here = epoch(&replica);
    for (base, lags) in [
        (None, true),
        (Some((0, here - 1)), false),
        (Some((0, here)), false),
        (Some((0, here + 1)), true),
        (Some((1, 0)), true),
    ] {
        let change = LoggedChange {
            base,
            ..patch(BOUND_TO_A)
        };
        assert_eq!(replica.may_lag_behind(&change), lags, "{base:?}");
    }
}

mod recorded;
