//! Answers in XML of a running cluster: the exit code stands in them, and where Pacemaker's api
//! schemas are there, they follow them (as `tests/answers.rs` has it for a CIB in a file).

use crate::cluster::{Cluster, not_here};
use std::path::PathBuf;
use std::process::Command;

/// What is asked, of a cluster with the resource `d`.
const QUESTIONS: &[&str] = &[
    "crm_mon -1",
    "crm_mon -1 -n -r",
    "crm_mon -1 -r -R -f -A -o -t -c -L -m 3",
    "crm_mon -1 --include=all",
    "crm_mon -1 -b -D",
    "crm_mon -1 --resource=d",
    "crm_mon -1 --node=node1",
    "crm_resource -L",
    "crm_resource -l",
    "crm_resource -O",
    "crm_resource -o",
    "crm_resource -W -r d",
    "crm_resource -W -r cl",
    "crm_resource -W -r nobody",
    "crm_resource -q -r d",
    "crm_resource -w -r cl",
    "crm_resource --why",
    "crm_resource --why -r d",
    "crm_resource --why -N node1",
    "crm_resource -a -r d",
    "crm_resource -A -r d",
    "crm_resource --digests -r d -N node1",
    "crm_resource -r d -m -p priority -v 5",
    "crm_resource -r d -m -g priority",
    "crm_resource -r d -m -d priority",
    "crm_resource -r d -G type",
    "crm_resource --force-check -r d",
    "crm_resource --validate -r d",
    "crm_resource -B -r d -N node1",
    "crm_mon -1 -L",
    "crm_resource -U -r d",
    "crm_resource --wait",
    "crm_resource -C -r d",
    "crm_resource -R -r d -N node1",
    "crm_resource -R",
    "crm_attribute -G",
    "crm_attribute -n colour -G",
    "crm_attribute -n colour -v 1",
    "crm_attribute -n colour -D",
    "crm_attribute -N node1 -n rack -v 7",
    "crm_attribute -N node1 -n rack -G",
    "crm_attribute -t status -N node1 -n rack -v 8",
    "attrd_updater -n hue -U red",
    "attrd_updater -n hue -Q -A",
    "attrd_updater -n hue -D",
    "attrd_updater -n nobody -Q",
    "crm_simulate -L -S",
    "crm_simulate -L -R -s -U -d node1",
    "crm_verify -L",
    "crmadmin -D",
    "crmadmin -S node1",
    "crmadmin -N",
    "crmadmin -P",
    "pacemakerd --version",
    "pacemakerd --features",
    "stonith_admin -L",
    "stonith_admin -l node1",
    "stonith_admin -I",
    "stonith_admin -H *",
    "stonith_admin -h node1",
];

impl Cluster {
    /// Asks all of it.
    pub(crate) fn answers_in_xml(&self) {
        let folder = tempfile::tempdir().unwrap();
        let mut wrong = Vec::new();
        let mut files = Vec::new();
        for (number, question) in QUESTIONS.iter().enumerate() {
            let words: Vec<&str> = question.split(' ').chain(["--output-as=xml"]).collect();
            let output = self.exec("node1", &words).unwrap();
            let told = cib::xml::parse(&output.stdout).ok().and_then(|root| {
                let status = root.children.last().filter(|s| s.name == "status")?;
                status.attr("code")?.parse::<i32>().ok()
            });
            if told != Some(output.code) || output.code == 64 {
                wrong.push(format!("{question}: {output:?}"));
            }
            let file = folder.path().join(format!("{number}.xml"));
            std::fs::write(&file, &output.stdout).unwrap();
            files.push((question, file));
        }
        wrong.extend(faults(&files));
        if !wrong.is_empty() {
            self.fail("node1", &wrong.join("\n"));
        }
    }
}

/// What the schemas have against these files.
fn faults(files: &[(&&str, PathBuf)]) -> Vec<String> {
    let given = std::env::var_os("PCMK_API_SCHEMAS").map(PathBuf::from);
    let installed = PathBuf::from("/usr/share/pacemaker/api");
    let schema = given.unwrap_or(installed).join("api-result-2.25.rng");
    let output = Command::new("xmllint")
        .args(["--noout", "--relaxng"])
        .arg(&schema)
        .args(files.iter().map(|(_, file)| file))
        .output();
    let Some(output) = output.ok().filter(|_| schema.exists()) else {
        not_here("answers_in_xml", "xmllint and Pacemaker's api schemas");
        return Vec::new();
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let about = |file: &PathBuf| -> String {
        let name = file.display().to_string();
        let lines = said.lines().filter(|line| line.contains(&name));
        lines.map(|line| format!("{line}\n")).collect()
    };
    let wrong = files
        .iter()
        .map(|(question, file)| (question, about(file), file));
    let wrong = wrong.filter(|(_, said, _)| said.contains("fails to validate"));
    wrong
        .map(|(question, said, file)| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            format!("{question}:\n{said}{text}")
        })
        .collect()
}
