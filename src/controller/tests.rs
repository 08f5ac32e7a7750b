use super::*;
use scheduler::{ActionResource, Graph, Synapse, Values};
use std::collections::BTreeMap;

const UUID: &str = "11111111-2222-3333-4444-555555555555";

fn action(id: u32, kind: ActionKind, operation: &str, node: &str) -> Action {
    Action {
        id,
        kind,
        operation: operation.to_owned(),
        key: format!("ip_{operation}_0"),
        internal_key: None,
        node: (kind != ActionKind::Pseudo).then(|| ("1".to_owned(), node.to_owned())),
        router_node: None,
        resource: (kind == ActionKind::Rsc).then(|| ActionResource {
            id: "ip".to_owned(),
            long_id: None,
            class: "ocf".to_owned(),
            provider: Some("heartbeat".to_owned()),
            kind: "IPaddr2".to_owned(),
        }),
        interval_ms: 0,
        timeout_ms: 20_000,
        start_delay_ms: 0,
        target_rc: if operation == "monitor" { 7 } else { 0 },
        can_fail: false,
        on_fail: "restart".to_owned(),
        params: BTreeMap::new(),
        meta: Values::default(),
        digest: None,
        reason: None,
    }
}

fn plan(steps: Vec<(Action, Vec<u32>)>) -> Input {
    let synapses = steps
        .into_iter()
        .map(|(action, inputs)| Synapse {
            id: action.id,
            priority: 0,
            action,
            inputs,
        })
        .collect();
    let graph = Graph {
        synapses,
        cluster_delay_ms: 60_000,
        ..Graph::default()
    };
    Input::Planned(Box::new(Plan {
        graph,
        ..Plan::default()
    }))
}

fn acting() -> Controller {
    let mut controller = Controller::default();
    let out = controller.step(
        0,
        Input::Acting {
            uuid: UUID.to_owned(),
        },
    );
    assert_eq!(out, [Command::Schedule]);
    controller
}

/// Operations handed to executors and commands performed, in order, as `node:operation`.
fn fired(commands: &[Command]) -> Vec<String> {
    let of = |c: &Command| match c {
        Command::Execute { node, request, .. } => Some(format!("{node}:{}", request.operation)),
        Command::Perform { action, .. } => Some(format!("perform:{}", action.operation)),
        _ => None,
    };
    commands.iter().filter_map(of).collect()
}

fn done(action: u32, transition: u32, target_rc: i32, rc: i32) -> Input {
    let transition_key = format!("{action}:{transition}:{target_rc}:{UUID}");
    Input::OpDone {
        transition_key,
        rc,
        op_status: 0,
    }
}

#[test]
fn actions_fire_in_the_order_of_their_inputs() {
    let mut c = acting();
    let out = c.step(
        1,
        plan(vec![
            (action(1, ActionKind::Rsc, "stop", "a"), vec![]),
            (action(2, ActionKind::Pseudo, "stopped", ""), vec![1]),
            (action(3, ActionKind::Rsc, "start", "b"), vec![2]),
        ]),
    );
    assert_eq!(fired(&out), ["a:stop"]);
    assert_eq!(c.progress(), Some((0, 3)));
    assert_eq!(fired(&c.step(2, done(1, 1, 0, 0))), ["b:start"]);
    // The graph is done: one more plan, empty, and the cluster is idle.
    assert_eq!(c.step(3, done(3, 1, 0, 0)), [Command::Schedule]);
    assert_eq!(c.step(4, plan(vec![])), [Command::Idle]);
    assert!(c.is_idle());
}

/// Under it they file what they must find again: a state, a promotion score.
#[test]
fn agents_are_told_the_name_that_the_history_has() {
    let mut start = action(1, ActionKind::Rsc, "start", "n1");
    start.resource.as_mut().unwrap().long_id = Some("ip:1".to_owned());
    let request = request_of(&start, "key");
    assert_eq!(request.rsc, "ip");
    assert_eq!(request.instance, "ip");
}

#[test]
fn a_plan_that_does_nothing_is_rest() {
    let mut c = acting();
    let nothing = vec![(action(1, ActionKind::Pseudo, "load_stopped_a", ""), vec![])];
    assert_eq!(c.step(1, plan(nothing)), [Command::Idle]);
    assert!(c.is_idle());
}

#[test]
fn an_action_that_was_taken_back_is_no_failure_and_nothing_follows_it() {
    let mut c = acting();
    let steps = vec![
        (action(1, ActionKind::Rsc, "start", "b"), vec![]),
        (action(2, ActionKind::Rsc, "monitor", "b"), vec![1]),
    ];
    assert_eq!(fired(&c.step(1, plan(steps))), ["b:start"]);
    let withdrawn = Input::Withdrawn {
        transition_key: format!("1:1:0:{UUID}"),
        why: "it stays where it is".to_owned(),
    };
    assert_eq!(c.step(2, withdrawn), [Command::Schedule]);
}

fn then(commands: &[Command]) -> Option<(String, String)> {
    commands.iter().find_map(|c| match c {
        Command::Execute {
            then: Some(then), ..
        } => Some((then.node.clone(), then.request.transition_key.clone())),
        _ => None,
    })
}

#[test]
fn a_stop_names_the_start_elsewhere_that_waits_for_nothing_else() {
    let stop = |id| action(id, ActionKind::Rsc, "stop", "a");
    let start = |id, inputs| (action(id, ActionKind::Rsc, "start", "b"), inputs);
    let pseudo = |id, inputs| (action(id, ActionKind::Pseudo, "stopped", ""), inputs);
    let other = |id, inputs| (action(id, ActionKind::Rsc, "promote", "c"), inputs);
    let key = format!("3:1:0:{UUID}");
    for (steps, named) in [
        (vec![(stop(1), vec![]), start(3, vec![1])], true),
        (
            vec![
                (stop(1), vec![]),
                pseudo(2, vec![1]),
                pseudo(4, vec![2]),
                start(3, vec![4, 1]),
            ],
            true,
        ),
        // Something else has to be done before.
        (
            vec![(stop(1), vec![]), other(2, vec![]), start(3, vec![1, 2])],
            false,
        ),
        (
            vec![
                (stop(1), vec![]),
                other(2, vec![]),
                pseudo(4, vec![1, 2]),
                start(3, vec![4]),
            ],
            false,
        ),
        // It does not wait at all, and goes by itself.
        (vec![(stop(1), vec![]), start(3, vec![])], false),
        // Here it is a restart.
        (
            vec![
                (stop(1), vec![]),
                (action(3, ActionKind::Rsc, "start", "a"), vec![1]),
            ],
            false,
        ),
    ] {
        let out = acting().step(1, plan(steps.clone()));
        let expected = named.then(|| ("b".to_owned(), key.clone()));
        assert_eq!(then(&out), expected, "{steps:?}");
    }
}

#[test]
fn a_start_that_was_taken_along_is_awaited_whatever_comes() {
    let both = || {
        plan(vec![
            (action(1, ActionKind::Rsc, "stop", "a"), vec![]),
            (action(2, ActionKind::Pseudo, "stopped", ""), vec![1]),
            (action(3, ActionKind::Rsc, "start", "b"), vec![2]),
            (action(4, ActionKind::Rsc, "monitor", "b"), vec![3]),
        ])
    };
    let taken = || Input::Taken {
        transition_key: format!("3:1:0:{UUID}"),
    };
    // Its answer may be here before the stop's.
    for order in [[1, 3], [3, 1]] {
        let mut c = acting();
        c.step(1, both());
        assert!(c.step(2, taken()).is_empty());
        let mut out: Vec<String> = Vec::new();
        for id in order {
            out.extend(fired(&c.step(3, done(id, 1, 0, 0))));
        }
        assert_eq!(out, ["b:monitor"], "{order:?}");
    }
    // The plan is void: nothing new is planned before both have been answered, or taken back.
    let mut c = acting();
    c.step(1, both());
    c.step(2, taken());
    let why = "a new CIB".to_owned();
    assert!(c.step(3, Input::Changed { why }).is_empty());
    assert_eq!(c.aborted(), Some("a new CIB"));
    assert!(c.step(4, done(1, 1, 0, 0)).is_empty());
    let withdrawn = Input::Withdrawn {
        transition_key: format!("3:1:0:{UUID}"),
        why: "not used".to_owned(),
    };
    assert_eq!(c.step(5, withdrawn), [Command::Schedule]);
}

#[test]
fn a_change_lets_flying_actions_land_and_plans_anew() {
    let mut c = acting();
    c.step(
        1,
        plan(vec![
            (action(1, ActionKind::Rsc, "stop", "a"), vec![]),
            (action(2, ActionKind::Rsc, "start", "b"), vec![1]),
        ]),
    );
    assert!(
        c.step(
            2,
            Input::Changed {
                why: "new CIB".to_owned()
            }
        )
        .is_empty()
    );
    // The stop's answer ends the aborted transition; the start is never fired.
    assert_eq!(c.step(3, done(1, 1, 0, 0)), [Command::Schedule]);
}

#[test]
fn a_failed_action_stops_what_depends_on_it_and_is_told() {
    let mut c = acting();
    c.step(
        1,
        plan(vec![
            (action(1, ActionKind::Rsc, "start", "a"), vec![]),
            (action(2, ActionKind::Rsc, "start", "b"), vec![1]),
        ]),
    );
    let out = c.step(2, done(1, 1, 0, 1));
    assert!(
        matches!(&out[0], Command::Notice { code: "action-failed", text } if text.contains("returned 1"))
    );
    assert_eq!(out[1], Command::Schedule);
}

#[test]
fn a_probe_that_finds_something_is_no_failure_but_voids_the_plan() {
    let mut c = acting();
    c.step(
        1,
        plan(vec![
            (action(1, ActionKind::Rsc, "monitor", "a"), vec![]),
            (action(2, ActionKind::Rsc, "start", "b"), vec![1]),
        ]),
    );
    let out = c.step(2, done(1, 1, 7, 0));
    assert_eq!(out, [Command::Schedule]);
}

#[test]
fn a_node_that_left_answers_no_more() {
    let mut c = acting();
    c.step(
        1,
        plan(vec![(action(1, ActionKind::Rsc, "start", "a"), vec![])]),
    );
    let out = c.step(
        2,
        Input::NodeGone {
            node: "a".to_owned(),
        },
    );
    assert_eq!(out, [Command::Schedule]);
}

#[test]
fn the_shutdown_of_a_node_is_confirmed_by_its_leaving() {
    let mut c = acting();
    let out = c.step(
        1,
        plan(vec![(
            action(1, ActionKind::Crm, "do_shutdown", "a"),
            vec![],
        )]),
    );
    assert_eq!(fired(&out), ["perform:do_shutdown"]);
    assert_eq!(
        c.step(
            2,
            Input::NodeGone {
                node: "a".to_owned()
            }
        ),
        [Command::Schedule]
    );
}

#[test]
fn a_fencing_under_way_does_not_hold_up_the_next_plan() {
    let mut c = acting();
    let fence = || action(1, ActionKind::Crm, "stonith", "b");
    let stop = action(2, ActionKind::Rsc, "stop", "a");
    let out = c.step(1, plan(vec![(fence(), vec![]), (stop, vec![])]));
    assert_eq!(fired(&out), ["perform:stonith", "a:stop"]);
    let why = "a constraint was added".to_owned();
    let out = c.step(2, Input::Changed { why });
    assert!(out.is_empty(), "the stop's answer is awaited: {out:?}");
    let out = c.step(3, done(2, 1, 0, 0));
    assert_eq!(out, [Command::Schedule]);
    c.state_taken();

    // The next plan wants the node dead, too, and starts what needs no dead node meanwhile.
    let start = action(2, ActionKind::Rsc, "start", "a");
    let after = action(3, ActionKind::Rsc, "start", "a");
    let out = c.step(
        4,
        plan(vec![(fence(), vec![]), (start, vec![]), (after, vec![1])]),
    );
    assert_eq!(fired(&out), ["perform:stonith", "a:start"]);
    // An answer to the first transition's action is not one to the second's.
    let confirmed = |transition| Input::Confirmed {
        transition,
        action: 1,
        ok: true,
    };
    assert!(c.step(5, confirmed(1)).is_empty());
    assert_eq!(fired(&c.step(6, confirmed(2))), ["a:start"]);
}

#[test]
fn what_follows_the_fencing_of_a_lost_node_waits_for_its_result() {
    let mut c = acting();
    let fence_then_start = || {
        plan(vec![
            (action(1, ActionKind::Crm, "stonith", "a"), vec![]),
            (action(2, ActionKind::Rsc, "start", "b"), vec![1]),
        ])
    };
    assert_eq!(fired(&c.step(1, fence_then_start())), ["perform:stonith"]);
    let node = "a".to_owned();
    assert_eq!(c.step(2, Input::NodeGone { node }), [Command::Schedule]);
    c.state_taken();
    assert_eq!(fired(&c.step(3, fence_then_start())), ["perform:stonith"]);
    let ok = Input::Confirmed {
        transition: 2,
        action: 1,
        ok: true,
    };
    assert_eq!(fired(&c.step(4, ok)), ["b:start"]);
}

#[test]
fn a_fencing_has_the_time_that_the_cluster_gives_it() {
    let mut c = acting();
    let Input::Planned(mut plan) = plan(vec![(action(1, ActionKind::Crm, "stonith", "a"), vec![])])
    else {
        unreachable!()
    };
    plan.graph.fencing_timeout_ms = 300_000;
    c.step(1, Input::Planned(plan));
    assert_eq!(c.next_timeout_ms(), Some(1 + 300_000 + 60_000));
}

#[test]
fn an_answer_that_never_comes_ends_the_transition_with_a_notice() {
    let mut c = acting();
    c.step(
        1,
        plan(vec![(action(1, ActionKind::Rsc, "start", "a"), vec![])]),
    );
    let due = c.next_timeout_ms().unwrap();
    assert!(c.step(due - 1, Input::Tick).is_empty());
    let out = c.step(due, Input::Tick);
    assert!(
        matches!(
            &out[0],
            Command::Notice {
                code: "action-unanswered",
                ..
            }
        ),
        "{out:?}"
    );
    assert!(out.contains(&Command::Schedule));
}

#[test]
fn answers_of_another_transition_change_nothing_in_this_one() {
    let mut c = acting();
    c.step(
        1,
        plan(vec![(action(1, ActionKind::Rsc, "start", "a"), vec![])]),
    );
    c.step(2, done(1, 9, 0, 0));
    // Still in flight: the foreign answer only asks for a new plan afterwards.
    assert_eq!(c.progress(), Some((0, 1)));
}

#[test]
fn a_node_that_is_not_the_dc_does_nothing() {
    let mut c = Controller::default();
    assert!(
        c.step(
            0,
            Input::Changed {
                why: "x".to_owned()
            }
        )
        .is_empty()
    );
    assert!(
        c.step(
            0,
            plan(vec![(action(1, ActionKind::Rsc, "start", "a"), vec![])])
        )
        .is_empty()
    );
    let mut c = acting();
    assert!(c.step(1, Input::Ended).is_empty());
    assert!(
        c.step(
            2,
            Input::Changed {
                why: "x".to_owned()
            }
        )
        .is_empty()
    );
}

#[test]
fn the_batch_limit_bounds_what_is_in_flight() {
    let mut c = acting();
    let actions = (1..=4).map(|i| (action(i, ActionKind::Rsc, "start", "a"), vec![]));
    let Input::Planned(mut p) = plan(actions.collect()) else {
        unreachable!()
    };
    p.graph.batch_limit = 3;
    assert_eq!(fired(&c.step(1, Input::Planned(p))).len(), 3);
    assert_eq!(fired(&c.step(2, done(1, 1, 0, 0))).len(), 1);
}

proptest::proptest! {
    /// Whatever arrives in whatever order, nothing panics and no dependent fires before its input.
    #[test]
    fn any_sequence_of_inputs_is_survived(steps in proptest::collection::vec((0u8..7, 0u32..6), 0..60)) {
        let mut c = Controller::default();
        let mut now = 0;
        for (what, n) in steps {
            now += 1000;
            let input = match what {
                0 => Input::Acting { uuid: UUID.to_owned() },
                1 => Input::Ended,
                2 => Input::Changed { why: "x".to_owned() },
                3 => plan(vec![
                    (action(1, ActionKind::Rsc, "stop", "a"), vec![]),
                    (action(2, ActionKind::Rsc, "start", "b"), vec![1, 77]),
                ]),
                4 => done(n, n, 0, (n % 2) as i32),
                5 => Input::NodeGone { node: "a".to_owned() },
                _ => Input::Tick,
            };
            let out = c.step(now, input);
            let fired = fired(&out);
            let stop_answered = what == 4;
            proptest::prop_assert!(stop_answered || !fired.contains(&"b:start".to_owned()));
        }
    }
}

#[test]
fn what_fails_again_and_again_is_tried_after_a_pause_that_news_end() {
    let mut c = acting();
    let mut now_ms = 0;
    let mut told = 0;
    for n in 1..=FAILURES_AT_ONCE {
        assert_eq!(c.next_timeout_ms(), None);
        c.step(
            now_ms,
            plan(vec![(action(1, ActionKind::Rsc, "start", "a"), vec![])]),
        );
        now_ms += 1;
        let out = c.step(now_ms, done(1, n, 0, 1));
        let paused = n == FAILURES_AT_ONCE;
        assert_eq!(out.contains(&Command::Schedule), !paused, "{n}: {out:?}");
        told += out
            .iter()
            .filter(|c| matches!(c, Command::Notice { code, .. } if *code == "keeps-failing"))
            .count();
    }
    assert_eq!(told, 1);
    assert!(!c.is_idle());
    let until = c.next_timeout_ms().unwrap();
    assert_eq!(until, now_ms + PAUSE_MS_MIN);
    let mut patient = c.clone();
    assert!(patient.step(until - 1, Input::Tick).is_empty());
    assert_eq!(patient.step(until, Input::Tick), [Command::Schedule]);
    let why = "the configuration changed".to_owned();
    assert_eq!(
        c.step(now_ms + 1, Input::Changed { why }),
        [Command::Schedule],
        "an administrator does not wait"
    );
}

#[test]
fn changes_before_the_state_is_taken_do_not_void_the_plan() {
    let why = || "a node reported what runs there".to_owned();
    let mut c = acting();
    c.step(1, Input::Changed { why: why() });
    c.state_taken();
    assert_eq!(c.step(2, plan(vec![])), [Command::Idle]);
    c.step(3, Input::Changed { why: why() });
    c.state_taken();
    c.step(4, Input::Changed { why: why() });
    assert_eq!(c.step(5, plan(vec![])), [Command::Schedule]);
}

#[test]
fn a_node_goes_after_everything_else_has_landed() {
    let mut c = acting();
    let out = c.step(
        1,
        plan(vec![
            (action(1, ActionKind::Rsc, "stop", "a"), vec![]),
            (action(2, ActionKind::Crm, "do_shutdown", "a"), vec![1]),
            (action(3, ActionKind::Rsc, "start", "b"), vec![1]),
        ]),
    );
    assert_eq!(fired(&out), ["a:stop"]);
    assert_eq!(fired(&c.step(2, done(1, 1, 0, 0))), ["b:start"]);
    assert_eq!(fired(&c.step(3, done(3, 1, 0, 0))), ["perform:do_shutdown"]);
}

#[test]
fn a_graph_of_thousands_is_walked_action_by_action() {
    const ACTIONS: u32 = 3_000;
    let mut steps: Vec<_> = (1..=ACTIONS)
        .map(|id| (action(id, ActionKind::Rsc, "stop", "a"), vec![]))
        .collect();
    let all = (1..=ACTIONS).collect();
    steps.push((action(ACTIONS + 1, ActionKind::Pseudo, "stopped", ""), all));
    steps.push((
        action(ACTIONS + 2, ActionKind::Rsc, "start", "b"),
        vec![ACTIONS + 1],
    ));
    let mut c = acting();
    let mut seen = fired(&c.step(1, plan(steps))).len();
    for id in 1..ACTIONS {
        seen += fired(&c.step(2, done(id, 1, 0, 0))).len();
    }
    assert_eq!(seen, ACTIONS as usize, "every stop once, and no start yet");
    assert_eq!(fired(&c.step(3, done(ACTIONS, 1, 0, 0))), ["b:start"]);
}
