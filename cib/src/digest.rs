//! MD5 digests as Pacemaker computes them. They tell "the same" from "changed"; they are no
//! protection against anyone.

use md5::{Digest, Md5};

use crate::tree::Element;
use crate::xml;

/// Digest of an operation's parameters: ` <parameters a="…" b="…"/>\n` with the attributes sorted
/// by name (Pacemaker lib/common/digest.c, `pcmk__digest_operation`). Stored in `op-digest`.
#[must_use]
pub fn operation<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut element = Element::new("parameters");
    for (name, value) in parameters {
        element.set(name, value);
    }
    element.attrs.sort();
    on_disk(&element)
}

/// Digest of a CIB file, as in `cib.xml.sig` and `cibadmin --md5-sum`.
#[must_use]
pub fn on_disk(element: &Element) -> String {
    md5(&format!(" {}\n", xml::compact(element)))
}

/// Digest to compare replicas and to put into patchsets: who wrote last and when does not count
/// (Pacemaker `pcmk__digest_xml` with filter).
#[must_use]
pub fn cib(element: &Element) -> String {
    let mut filtered = element.clone();
    drop_stamps(&mut filtered);
    md5(&xml::compact(&filtered))
}

/// Digest of everything in the tree (`cibadmin --md5-sum-versioned`).
#[must_use]
pub fn full(element: &Element) -> String {
    md5(&xml::compact(element))
}

fn drop_stamps(element: &mut Element) {
    element
        .attrs
        .retain(|(name, _)| !STAMPS.contains(&name.as_str()));
    element.children.iter_mut().for_each(drop_stamps);
}

fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Attributes that say who and when, not what (Pacemaker `pcmk__xa_filterable`).
const STAMPS: [&str; 5] = [
    "crm-debug-origin",
    "cib-last-written",
    "update-origin",
    "update-client",
    "update-user",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_operation_digests() {
        assert_eq!(operation([]), "f2317cad3d54cec5d7d7aa7d0bf35cf8");
        assert_eq!(
            operation([("CRM_meta_timeout", "20000")]),
            "4811cef7f7f94e3a35a70be7916cb2fd"
        );
    }

    #[test]
    fn order_of_parameters_does_not_count() {
        let a = operation([("ip", "10.0.0.1"), ("cidr_netmask", "24")]);
        assert_eq!(a, operation([("cidr_netmask", "24"), ("ip", "10.0.0.1")]));
        assert_ne!(a, operation([("cidr_netmask", "25"), ("ip", "10.0.0.1")]));
    }

    #[test]
    fn stamps_do_not_count_between_replicas() {
        let plain = Element::new("cib")
            .with("epoch", "1")
            .child(Element::new("status"));
        let stamped = plain
            .clone()
            .with("update-user", "root")
            .with("cib-last-written", "now");
        assert_eq!(cib(&plain), cib(&stamped));
        assert_ne!(full(&plain), full(&stamped));
        assert_ne!(on_disk(&plain), full(&plain));
    }
}
