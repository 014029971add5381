//! Which restricted resources a caller may see. Source: reference/extension-protocol.md section 4.1.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a tag that restricts a resource begins with.
const PREFIX: &str = "acl:";

/// What a caller may see of resources that carry `acl:` tags. The server alone writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acl {
    /// Scopes that the caller holds, without prefix.
    #[serde(default, deserialize_with = "crate::lenient::null_is_default")]
    pub scopes: Vec<String>,
    /// The caller sees everything.
    #[serde(default)]
    pub global: bool,
    /// Whether the organization restricts anything. From older servers this block is absent, and then it does.
    #[serde(default)]
    pub enforce: bool,
    /// Whose scopes these are, for the log: `user`, `impersonated`, `dr`, `continuation`, `internal`.
    #[serde(default)]
    pub source: String,
}

impl Acl {
    /// Nobody said: tagged resources are locked, others are open.
    #[must_use]
    pub fn fail_closed() -> Self {
        Self { enforce: true, ..Self::default() }
    }

    /// The organization restricts nothing.
    #[must_use]
    pub fn open(source: &str) -> Self {
        Self { source: source.to_owned(), ..Self::default() }
    }

    /// Whether the caller may see a resource with these tags: it must hold every scope among them.
    pub fn allows<'a>(&self, tags: impl IntoIterator<Item = &'a str>) -> bool {
        if self.global || !self.enforce {
            return true;
        }
        let held: BTreeSet<String> = self.scopes.iter().map(|scope| plain(scope)).collect();
        let mut entries = tags.into_iter().flat_map(|tag| tag.split(',')).map(plain);
        // A bare prefix names no scope that anybody could hold.
        entries.all(|entry| entry.strip_prefix(PREFIX).is_none_or(|scope| !scope.is_empty() && held.contains(scope)))
    }
}

fn plain(text: &str) -> String {
    text.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checklist_19_2_14_every_scope_of_a_resource_must_be_held() {
        let holder = Acl { scopes: vec![" Red ".into(), "blue".into()], enforce: true, ..Acl::default() };
        assert!(holder.allows([]) && holder.allows(["vip", "acl:red"]));
        assert!(holder.allows(["acl:red, ACL:Blue"]), "an entry with commas is a list");
        assert!(!holder.allows(["acl:red", "acl:green"]), "all of them");
        assert!(!holder.allows(["acl:"]), "a bare prefix always locks");
        let nobody = Acl::fail_closed();
        assert!(nobody.allows(["vip"]) && !nobody.allows(["acl:red"]));
        assert!(Acl { global: true, ..Acl::fail_closed() }.allows(["acl:"]));
        assert!(Acl::open("user").allows(["acl:red"]));
    }
}
