//! Attributes as agents, shells and people ask for them and set them.

use super::*;
use crate::cli::backend::CibFile;
use crate::cli::getopt;
use cib::Cib;

/// Runs command lines on one CIB; what each printed, or its exit code.
fn talk(cases: &[(&str, &str)]) {
    let text = include_str!("../../../tests/cli/status/three-nodes.xml");
    let mut backend = CibFile::in_memory(Cib::parse(text).unwrap());
    for (line, answer) in cases {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let mut console = Console::buffers();
        let found = getopt::parse(&OPTIONS, &args).unwrap();
        let found = match run(&mut backend, &mut console, &found) {
            Ok(()) => console.into_texts().0,
            Err(failure) => failure.exit.code().to_string(),
        };
        assert_eq!(found, *answer, "{line}");
    }
}

#[test]
fn attributes_of_nodes_as_agents_ask_for_them() {
    talk(&[
        ("-N node1 -n foo -v bar", ""),
        ("-N node1 -n foo -G", "scope=nodes  name=foo value=bar\n"),
        ("-N node1 -n foo -G -q", "bar\n"),
        ("-N node1 --name foo --query --quiet", "bar\n"),
        (
            "-N node1 -n foo -D",
            "Deleted nodes attribute: id=nodes-1-foo name=foo\n",
        ),
        ("-N node1 -n foo -D", ""),
        ("-N node1 -n foo -G", "105"),
        ("-N node1 -n foo -G -d x", "scope=nodes  name=foo value=x\n"),
        ("-N node1 -z -n cpu -v 4", ""),
        ("-N node1 -z -n cpu -G", "scope=nodes  name=cpu value=4\n"),
        ("-N node1 -z -l reboot -n mem -v 8", ""),
        (
            "-N node1 -z -l reboot -G",
            "scope=status  name=mem value=8\n",
        ),
        ("-N node1 -l reboot -n mem -G", "105"),
        ("-N node1 -z -l reboot -n mem -D -q", ""),
        ("-N node1 -z -l reboot -n mem -G", "105"),
        ("-N nobody -n x -v 1", "105"),
        ("-N nobody -n x -G", "105"),
        ("-t tickets -G", "64"),
        ("-N node1 -n tt -l reboot -v 3", ""),
        (
            "-N node1 -n tt -t status -G",
            "scope=status  name=tt value=3\n",
        ),
        (
            "-N node1 -n tt -l reboot -D",
            "Deleted status attribute: id=status-1-tt name=tt\n",
        ),
        ("-N node1 -p web -v 7", ""),
        (
            "-N node1 -p web -G",
            "scope=status  name=master-web value=7\n",
        ),
        ("-N node1 -l sometimes -n x -G", "64"),
        ("-N node1 -v 7", "64"),
        ("-t rubbish -n x -G", "64"),
    ]);
}

#[test]
fn options_sets_ids_and_patterns() {
    talk(&[
        ("-n zz -v 1", ""),
        (
            "-n zz -D",
            "Deleted crm_config option: id=cib-bootstrap-options-zz name=zz\n",
        ),
        (
            "-P ^d -G",
            "scope=crm_config  name=dc-version value=2.1.5-a3f44794f94\n",
        ),
        ("-N node1 -s mine -n a -v 1", ""),
        ("-N node1 -s mine -n a -G", "scope=nodes  name=a value=1\n"),
        ("-N node1 -s other -n a -G", "105"),
        ("-N node1 -n a -G", "scope=nodes  name=a value=1\n"),
        ("-N node1 -i mine-a -v 2", ""),
        ("-N node1 -i mine-a -G -q", "2\n"),
        (
            "-N node1 -i mine-a -D",
            "Deleted nodes attribute: id=mine-a name=a\n",
        ),
        ("-N node1 -i nobody -v 2", "105"),
        ("-N node1 -l reboot -n ping-a -v 1", ""),
        ("-N node1 -l reboot -n ping-b -v 1", ""),
        ("-N node1 -l reboot -P ^ping- -v 5", ""),
        ("-N node1 -l reboot -n ping-b -G -q", "5\n"),
        ("-N node1 -l reboot -P ^ping- -D -q", ""),
        ("-N node1 -l reboot -n ping-a -G", "105"),
        ("-N node1 -l forever -P ^ping- -D", "64"),
        ("-t rsc_defaults -n failure-timeout -v 60s", ""),
        ("-t rsc_defaults -s rd -n x -v 1", ""),
        ("-t rsc_defaults -s rd -n x -G -q", "1\n"),
        (
            "-t rsc_defaults -s rd -n x -D",
            "Deleted rsc_defaults option: id=rd-x set=rd name=x\n",
        ),
        ("-P ( -G", "64"),
    ]);
}

#[test]
fn the_answer_in_xml() {
    let text = include_str!("../../../tests/cli/status/three-nodes.xml");
    let mut backend = CibFile::in_memory(Cib::parse(text).unwrap());
    let args = ["-n", "dc-version", "-G"].map(str::to_owned);
    let mut console = Console::buffers();
    console.answer_in_xml();
    run(
        &mut backend,
        &mut console,
        &getopt::parse(&OPTIONS, &args).unwrap(),
    )
    .unwrap();
    let answer = console.take_answer().unwrap();
    assert_eq!(
        cib::xml::compact(&answer[0]),
        r#"<attribute name="dc-version" value="2.1.5-a3f44794f94" scope="crm_config"/>"#
    );
}

/// Compared with crm_attribute 2.1.5 on the same CIB.
#[test]
fn of_several_sets_all_are_told_and_none_is_changed() {
    talk(&[
        ("-N node1 -n foo -v 1", ""),
        ("-N node1 -s s2 -n foo -v 2", ""),
        (
            "-N node1 -n foo -G",
            "scope=nodes  name=foo value=1\nscope=nodes  name=foo value=2\n",
        ),
        ("-N node1 -n foo -G -q", "1\n2\n"),
        ("-N node1 -n foo -v 3", "109"),
        ("-N node1 -n foo -D", "109"),
        ("-N node1 -s s2 -n bar -v 9", ""),
        (
            "-N node1 -G",
            "scope=nodes  name=foo value=1\nscope=nodes  name=foo value=2\nscope=nodes  name=bar value=9\n",
        ),
        ("-N node1 -P o$ -G -q", "1\n2\n"),
        ("-N node1 -s s2 -G -q", "2\n9\n"),
        ("-N node1 -i s2-foo -v 4", ""),
        ("-N node1 -n foo -G -q", "1\n4\n"),
        (
            "-G",
            "scope=crm_config  name=stonith-enabled value=false\nscope=crm_config  name=cluster-infrastructure value=corosync\nscope=crm_config  name=dc-version value=2.1.5-a3f44794f94\n",
        ),
    ]);
}
