use super::super::backend::CibFile;
use super::super::getopt;
use super::*;
use cib::Element;

/// Runs command lines on one CIB; what each printed, or its exit code.
fn talk(cases: &[(&str, &str)]) -> CibFile {
    let text = include_str!("../../../tests/cli/status/three-nodes.xml");
    let mut backend = CibFile::in_memory(Cib::parse(text).unwrap());
    for (line, answer) in cases {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let mut console = Console::buffers();
        let found = getopt::parse(OPTIONS, &args).unwrap();
        let found = match run(&mut backend, &mut console, &found) {
            Ok(()) => console.into_texts().0,
            Err(failure) => failure.exit.code().to_string(),
        };
        assert_eq!(found, *answer, "{line}");
    }
    backend
}

#[test]
fn a_word_too_many_is_refused() {
    talk(&[("-L dis", "64"), ("-W -r ip elsewhere", "64")]);
}

/// What ran before the last start is over, and after a stop nothing counts.
#[test]
fn operations_that_still_count() {
    let op = |id: i64, name: &str, rc: &str| {
        Element::new("lrm_rsc_op")
            .with("id", &id.to_string())
            .with("call-id", &id.to_string())
            .with("operation", name)
            .with("op-status", "0")
            .with("rc-code", rc)
    };
    let cases = [
        (vec![("monitor", "7")], vec!["1"]),
        (vec![("monitor", "0"), ("monitor", "0")], vec!["2"]),
        (
            vec![("monitor", "7"), ("start", "0"), ("monitor", "0")],
            vec!["2", "3"],
        ),
        (
            vec![("start", "0"), ("monitor", "0"), ("stop", "0")],
            vec![],
        ),
        (
            vec![("stop", "0"), ("start", "0"), ("asyncmon", "1")],
            vec!["2", "3"],
        ),
    ];
    for (history, left) in cases {
        let history: Vec<Element> = (1..)
            .zip(history)
            .map(|(id, (name, rc))| op(id, name, rc))
            .collect();
        let found = lists::active(history.iter().collect());
        let found: Vec<&str> = found.iter().filter_map(|op| op.id()).collect();
        assert_eq!(found, left, "{history:?}");
    }
}

#[test]
fn parameters_as_pacemakers_tool_words_them() {
    talk(&[
        (
            "-r dis -p ip -v 1.2.3.4",
            "Set 'dis' option: id=dis-instance_attributes-ip set=dis-instance_attributes name=ip value=1.2.3.4\n",
        ),
        (
            "-r dis -p ip -v 1.2.3.5",
            "Set 'dis' option: id=dis-instance_attributes-ip name=ip value=1.2.3.5\n",
        ),
        ("-r dis -g ip", "1.2.3.5\n"),
        (
            "-r dis -d ip",
            "Deleted 'dis' option: id=dis-instance_attributes-ip name=ip\n",
        ),
        ("-r dis -d ip", ""),
        ("-r dis -g ip", ""),
        (
            "-r dis -m -p target-role -v Started",
            "Set 'dis' option: id=dmt name=target-role value=Started\n",
        ),
        ("-r dis -m -g target-role", "Started\n"),
        (
            "-r dis -z -p cpu -v 2",
            "Set 'dis' option: id=dis-utilization-cpu set=dis-utilization name=cpu value=2\n",
        ),
        ("-Q -r dis -z -g cpu", "2\n"),
        (
            "--resource=dis --utilization --delete-parameter=cpu",
            "Deleted 'dis' option: id=dis-utilization-cpu name=cpu\n",
        ),
        (
            "-r ca -m -p target-role -v Started",
            "Performing update of 'target-role' on 'c', the parent of 'ca'\nSet 'c' option: id=c-meta_attributes-target-role set=c-meta_attributes name=target-role value=Started\n",
        ),
        (
            "-r dis -s mine -p x -v 1",
            "Set 'dis' option: id=mine-x set=mine name=x value=1\n",
        ),
        (
            "-r dis -s mine -d x",
            "Deleted 'dis' option: id=mine-x set=mine name=x\n",
        ),
        ("-r dis -p x", "64"),
        ("-p x -v 1", "64"),
        ("-r nobody -p x -v 1", "105"),
        ("-r ip -G class", "ocf\n"),
        ("-r ip -G rubbish", "105"),
    ]);
}

#[test]
fn moving_banning_and_clearing() {
    let backend = talk(&[
        ("-M -r ip", ""),
        ("-U -r ip", "Removing constraint: cli-ban-ip-on-node1\n"),
        ("-M -r ip -N node2", ""),
        ("-M -r ip -N node1", "108"),
        ("-M -r dis", "64"),
        ("-M -r f -N nobody", "105"),
        ("-M -r nobody", "105"),
        ("-B -r f -N node2", ""),
        ("-U -r f -N node1", ""),
        ("-U -e -r f", ""),
        ("-U -r f", "Removing constraint: cli-ban-f-on-node2\n"),
        ("-B -r p --promoted", ""),
        ("-B -r f -N node2 -u rubbish", "64"),
    ]);
    let constraints = backend.cib().section(cib::Section::Constraints).unwrap();
    assert_eq!(
        cib::xml::compact(constraints),
        r#"<constraints><rsc_location id="cli-prefer-ip" rsc="ip" role="Started" node="node2" score="INFINITY"/><rsc_location id="cli-ban-p-on-node1" rsc="p" role="Promoted" node="node1" score="-INFINITY"/></constraints>"#
    );
}

/// Two nodes with an instance each, none of them promoted, and a resource that cannot be.
fn unpromoted() -> CibFile {
    let ran = |id: &str, kind: &str| {
        format!(
            "<lrm_resource id=\"{id}\" class=\"ocf\" provider=\"pacemaker\" type=\"{kind}\"><lrm_rsc_op id=\"{id}_last_0\" operation_key=\"{id}_start_0\" operation=\"start\" call-id=\"5\" rc-code=\"0\" op-status=\"0\" interval=\"0\"/></lrm_resource>"
        )
    };
    let node = |number: u8, more: &str| {
        format!(
            "<node_state id=\"{number}\" uname=\"node{number}\" in_ccm=\"true\" crmd=\"online\" join=\"member\" expected=\"member\"><lrm id=\"{number}\"><lrm_resources>{}{more}</lrm_resources></lrm></node_state>",
            ran("st", "Stateful")
        )
    };
    let text = format!(
        "<cib have-quorum=\"1\"><configuration><crm_config/><nodes><node id=\"1\" uname=\"node1\"/><node id=\"2\" uname=\"node2\"/></nodes><resources><primitive id=\"web\" class=\"ocf\" provider=\"pacemaker\" type=\"Dummy\"/><clone id=\"cl\"><meta_attributes id=\"m\"><nvpair id=\"mp\" name=\"promotable\" value=\"true\"/></meta_attributes><primitive id=\"st\" class=\"ocf\" provider=\"pacemaker\" type=\"Stateful\"/></clone></resources><constraints/></configuration><status>{}{}</status></cib>",
        node(1, &ran("web", "Dummy")),
        node(2, "")
    );
    CibFile::in_memory(Cib::parse(&text).unwrap())
}

#[test]
fn an_instance_there_is_no_reason_not_to_move_a_clone() {
    let go = |line: &str| {
        let mut backend = unpromoted();
        let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut console = Console::buffers();
        let found = getopt::parse(OPTIONS, &args).unwrap();
        let done = run(&mut backend, &mut console, &found);
        let made = backend.cib().section(cib::Section::Constraints).unwrap();
        let made: Vec<String> = made.children.iter().map(cib::xml::compact).collect();
        let (out, err) = console.into_texts();
        (
            done.map_err(|f| (f.exit, f.text)),
            made.concat(),
            out + &err,
        )
    };
    let wish = |rsc: &str, role: &str, node: &str| {
        format!(
            "<rsc_location id=\"cli-prefer-{rsc}\" rsc=\"{rsc}\" role=\"{role}\" node=\"{node}\" score=\"INFINITY\"/>"
        )
    };
    for (line, made) in [
        ("-M -r cl -N node1", wish("cl", "Started", "node1")),
        (
            "-M -r cl -N node1 --promoted",
            wish("cl", "Promoted", "node1"),
        ),
        ("-M -r st -N node1", wish("st", "Started", "node1")),
    ] {
        let (done, found, _) = go(line);
        assert_eq!((done, found), (Ok(()), made), "{line}");
    }
    let (done, made, told) = go("-M -r web -N node1 --promoted");
    assert_eq!((done.unwrap_err().0, made.as_str()), (Exit::Exists, ""));
    assert_eq!(told, "Ignoring --promoted option: web is not promotable\n");
    let (done, made, _) = go("-M -r web -N node2 --promoted");
    assert_eq!((done, made), (Ok(()), wish("web", "Started", "node2")));
    let (_, _, told) = go("-M -r cl -N node1 --force");
    assert!(told.contains("active in 2 locations"), "{told}");
    let (done, ..) = go("-M -r cl");
    let (exit, text) = done.unwrap_err();
    assert_eq!(exit, Exit::Usage);
    assert!(
        text.contains("active in 2 locations (promoted in 0)"),
        "{text}"
    );
}

#[test]
fn a_ban_with_a_lifetime_is_a_rule_that_ends() {
    let backend = talk(&[("-Q -B -r f -N node2 -u PT1H", ""), ("-U -e -r f", "")]);
    let constraints = backend.cib().section(cib::Section::Constraints).unwrap();
    let text = cib::xml::compact(constraints);
    assert!(
        text.contains(r##"<expression id="cli-ban-f-on-node2-expr" attribute="#uname" operation="eq" value="node2" type="string"/><date_expression id="cli-ban-f-on-node2-lifetime" operation="lt" end=""##),
        "{text}"
    );
}

#[test]
fn what_runs_where_and_why() {
    talk(&[
        ("-W -r f", "resource f is running on: node1\n"),
        ("-W -r pa", "resource pa is running on: node1 Promoted\n"),
        ("-W -r p -Q", "node1\n"),
        ("-W -r dis", ""),
        ("-W -r nobody", "105"),
        (
            "-l",
            "ip\nf\ndis\nunm\nga\ngb\nca:0\nca:1\nca:2\npa:0\npa:1\npa:2\n",
        ),
        (
            "--why -r dis",
            "Resource dis is not running\nConfiguration specifies 'dis' should remain stopped\n",
        ),
        ("-Y -r f -N node1", "Resource f is running on host node1\n"),
        (
            "-o -r ip",
            &format!(
                "ip\t(ocf:heartbeat:IPaddr2):\t Started: ip_start_0 (node=node1, call=5, rc=0, last-rc-change='{}', exec=5ms): complete\n",
                crate::view::asctime(1_700_000_000)
            ),
        ),
        (
            "-w -r unm",
            "unm\t(ocf:pacemaker:Dummy):\t Started node1 (unmanaged)\nResource XML:\n<primitive id=\"unm\" class=\"ocf\" provider=\"pacemaker\" type=\"Dummy\">\n  <meta_attributes id=\"um\">\n    <nvpair id=\"umt\" name=\"is-managed\" value=\"false\"/>\n  </meta_attributes>\n</primitive>\n",
        ),
        (
            "--digests -r ip -N node1",
            "f2317cad3d54cec5d7d7aa7d0bf35cf8 (all parameters)\nf2317cad3d54cec5d7d7aa7d0bf35cf8 (non-private parameters)\n",
        ),
        ("-D -r dis -t group", "105"),
        ("-D -r dis", "105"),
        ("-D -r dis -t primitive", ""),
        ("-D -r dis -t primitive", "105"),
        // Who has failed where is for a running cluster.
        ("-F -r ip", "64"),
        ("-F -r ip -N nobody", "105"),
        ("-C -r nobody", "105"),
    ]);
}

#[test]
fn constraints_of_a_resource() {
    let mut backend = talk(&[]);
    let constraints = r#"<constraints><rsc_location id="l1" rsc="f" node="node2" score="-INFINITY"/><rsc_colocation id="c1" rsc="f" with-rsc="ip" score="5"/></constraints>"#;
    crate::cli::backend::edit(&mut backend, "test", |cib| {
        *cib.section_mut(cib::Section::Constraints) = cib::xml::parse(constraints)?;
        Ok(())
    })
    .unwrap();
    for (line, answer) in [
        (
            "-a -r f",
            "Locations:\n  * Node node2 (score=-INFINITY, id=l1, rsc=f)\nResources f is colocated with:\n  * ip (score=5, id=c1)\n",
        ),
        (
            "-a -r ip",
            "Resources colocated with ip:\n  * f (score=5, id=c1)\n",
        ),
        (
            "-A -r ip",
            "Resources colocated with ip:\n  * f (score=5, id=c1)\n    * Locations:\n      * Node node2 (score=-INFINITY, id=l1, rsc=f)\n",
        ),
        ("-a -r ga", ""),
    ] {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let mut console = Console::buffers();
        run(
            &mut backend,
            &mut console,
            &getopt::parse(OPTIONS, &args).unwrap(),
        )
        .unwrap();
        assert_eq!(console.into_texts().0, answer, "{line}");
    }
}
