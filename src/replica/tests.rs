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
