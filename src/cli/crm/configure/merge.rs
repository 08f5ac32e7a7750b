//! `load xml update`: objects of an XML text are put into the configuration there is.

use super::options::section_of;
use cib::config::Config;
use cib::{Cib, Element, Error, Section, update};

/// The configuration with the objects of a text put into it: a `<cib>`, a `<configuration>`, a
/// section, or an object alone. A resource or constraint whose id is there already takes its place;
/// options and attributes of nodes are set one by one.
///
/// # Errors
/// The text is no XML, has no place in a configuration, or ids would be there twice.
pub(crate) fn merged(cib: &Cib, text: &str) -> Result<Cib, Error> {
    let given = cib::xml::parse(text)?;
    let mut new = cib.clone();
    put(&mut new, None, given)?;
    cib::check::check_ids(new.root())?;
    Ok(new)
}

fn put(cib: &mut Cib, within: Option<Section>, given: Element) -> Result<(), Error> {
    let whole = matches!(given.name.as_str(), "cib" | "configuration");
    let section = Section::from_tag(&given.name);
    if whole || section.is_some() {
        // The status is the cluster's own.
        let inside = given.children.into_iter().filter(|c| c.name != "status");
        let mut inside = inside.collect::<Vec<_>>().into_iter();
        return inside.try_for_each(|child| put(cib, section, child));
    }
    let Some(section) = within.or_else(|| section_of(&given)) else {
        return Err(Error::Refused {
            what: format!("<{}> has no place in a configuration", given.name),
            cure: "give a resource, a constraint, a section, or a whole <cib>".to_owned(),
        });
    };
    let by_the_piece = matches!(
        section,
        Section::CrmConfig | Section::Nodes | Section::RscDefaults | Section::OpDefaults
    );
    if by_the_piece {
        return update::modify(cib, section, &given, true);
    }
    let known = given
        .id()
        .is_some_and(|id| Config::new(cib).by_id(id).is_some());
    match known {
        true => update::replace(cib, section, given).map(|_| ()),
        false => update::create(cib, section, given),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::cases::two_nodes;

    fn with(texts: &[&str]) -> Result<Cib, Error> {
        let file = two_nodes();
        let begun = Ok(file.cib().clone());
        texts.iter().fold(begun, |cib, text| merged(&cib?, text))
    }

    const DUMMY: &str = "<primitive id=\"d\" class=\"ocf\" provider=\"heartbeat\" type=\"Dummy\"/>";

    #[test]
    fn objects_come_in_and_take_the_place_of_their_like() {
        let again = "<resources><primitive id=\"d\" class=\"ocf\" provider=\"heartbeat\" type=\"Dummy\"><meta_attributes id=\"m\"><nvpair id=\"m-p\" name=\"priority\" value=\"3\"/></meta_attributes></primitive></resources>";
        let location = "<cib><configuration><constraints><rsc_location id=\"l\" rsc=\"d\" node=\"node1\" score=\"5\"/></constraints></configuration><status><node_state id=\"1\"/></status></cib>";
        let defaults = "<rsc_defaults><meta_attributes id=\"rsc-options\"><nvpair id=\"rsc-options-resource-stickiness\" name=\"resource-stickiness\" value=\"7\"/></meta_attributes></rsc_defaults>";
        let option = |value| {
            format!(
                "<cluster_property_set id=\"cib-bootstrap-options\"><nvpair id=\"cib-bootstrap-options-batch-limit\" name=\"batch-limit\" value=\"{value}\"/></cluster_property_set>"
            )
        };
        let texts = [DUMMY, again, location, defaults, &option(5), &option(6)];
        let cib = with(&texts).unwrap();
        let config = Config::new(&cib);
        let d = config.resource("d").unwrap();
        assert_eq!(config.meta(&d).get("priority"), Some(&"3"));
        assert_eq!(config.resources().len(), 1);
        assert_eq!(config.constraints().len(), 1);
        assert_eq!(config.property("batch-limit"), Some("6"));
        assert_eq!(config.rsc_defaults().get("resource-stickiness"), Some(&"7"));
        assert!(cib.section(Section::Status).unwrap().children.is_empty());
    }

    #[test]
    fn what_has_no_place_is_refused() {
        for text in ["<nonsense/>", "<primitive", DUMMY.trim_end_matches("/>")] {
            assert!(with(&[text]).is_err(), "{text}");
        }
        let twice = format!("<resources>{DUMMY}<group id=\"g\">{DUMMY}</group></resources>");
        assert!(with(&[&twice]).is_err(), "one id twice");
    }
}
