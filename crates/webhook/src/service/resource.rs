//! Content that a service publishes for its own rules. Source: reference/service-protocol.md section 9.

use super::Answer;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_model::to_hex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// A request for content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceRequest {
    /// Which.
    pub resource: Names,
    /// Whether the content is wanted too, and not only its digest.
    pub is_include_data: bool,
}

/// One name, or several at once; a list of one name is still a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Names {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// Content with a category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// What it is for, such as `lookup` or `detect`.
    pub category: String,
    /// SHA-256 of the content, in hexadecimal digits.
    hash: String,
    content: Vec<u8>,
}

/// A resource as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceAnswer {
    /// SHA-256 of the content, in hexadecimal digits.
    pub hash: String,
    /// What it is for.
    #[serde(default)]
    pub res_cat: String,
    /// The content in base64, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub res_data: Option<String>,
}

impl Resource {
    /// Content of a category.
    #[must_use]
    pub fn new(category: &str, content: impl Into<Vec<u8>>) -> Self {
        let content = content.into();
        Self { category: category.to_owned(), hash: to_hex(&Sha256::digest(&content)), content }
    }

    /// The content as it travels: with itself, or its digest alone.
    #[must_use]
    pub fn answer(&self, is_include_data: bool) -> ResourceAnswer {
        let res_data = is_include_data.then(|| STANDARD.encode(&self.content));
        ResourceAnswer { hash: self.hash.clone(), res_cat: self.category.clone(), res_data }
    }
}

impl ResourceAnswer {
    /// The content, if it came and is what the digest says.
    #[must_use]
    pub fn content(&self) -> Option<Vec<u8>> {
        let content = STANDARD.decode(self.res_data.as_ref()?).ok()?;
        (to_hex(&Sha256::digest(&content)) == self.hash).then_some(content)
    }
}

impl ResourceRequest {
    /// The answer of a service that publishes `resources`. If one name is unknown, nothing is given.
    #[must_use]
    pub fn answer(data: &Map<String, Value>, resources: &BTreeMap<String, Resource>) -> Answer {
        let request = match serde_json::from_value::<Self>(Value::Object(data.clone())) {
            Ok(request) => request,
            Err(error) => {
                return Answer::failed().with("error", json!(format!("invalid get_resource request: {error}")));
            }
        };
        let one = |name: &String| resources.get(name).map(|resource| resource.answer(request.is_include_data));
        let found = match &request.resource {
            Names::One(name) => one(name).map(|resource| json!(resource)),
            Names::Many(names) => {
                let all: Option<BTreeMap<&String, ResourceAnswer>> =
                    names.iter().map(|name| Some((name, one(name)?))).collect();
                all.map(|all| json!({"resources": all}))
            }
        };
        match found {
            Some(Value::Object(data)) => Answer { data, ..Answer::done() },
            _ => Answer::failed().with("error", json!("resource not available")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(data: Value) -> Answer {
        let resources = BTreeMap::from([
            ("bad".to_owned(), Resource::new("lookup", "evil.com\nbad.net\n")),
            ("one".to_owned(), Resource::new("detect", "data1")),
        ]);
        let Value::Object(data) = data else { unreachable!("an object") };
        ResourceRequest::answer(&data, &resources)
    }

    /// Source: reference/service-protocol.md section 9, worked examples.
    #[test]
    fn checklist_21_2_12_resources_are_given_with_and_without_content() {
        let hash = "75899c04621f1f9dd2afd2d77a6c57500fb99f1082bb17d165fe861876b11f0c";
        let other = "5b41362bc82b7f3d56edc5a306db22105707d01ff4819e26faef9724a2d406c9";
        let bad = json!({"hash": hash, "res_cat": "lookup", "res_data": "ZXZpbC5jb20KYmFkLm5ldAo="});
        let one = json!({"hash": other, "res_cat": "detect", "res_data": "ZGF0YTE="});
        let data = |request: Value| Value::Object(asked(request).data);
        assert_eq!(data(json!({"resource": "bad", "is_include_data": true})), bad);
        let digest_only = json!({"hash": hash, "res_cat": "lookup"});
        assert_eq!(data(json!({"resource": "bad", "is_include_data": false})), digest_only);
        let both = json!({"resources": {"bad": bad, "one": one}});
        assert_eq!(data(json!({"resource": ["bad", "one"], "is_include_data": true})), both);
        let list_of_one = json!({"resources": {"bad": digest_only}});
        assert_eq!(data(json!({"resource": ["bad"], "is_include_data": false})), list_of_one);
    }

    #[test]
    fn checklist_21_2_12_unknown_resources_are_refused_for_good() {
        let refused = json!({"success": false, "retry": false, "data": {"error": "resource not available"}});
        assert_eq!(asked(json!({"resource": "x", "is_include_data": true})).to_value(), refused);
        assert_eq!(asked(json!({"resource": ["bad", "x"], "is_include_data": true})).to_value(), refused);
        let malformed = asked(json!({"resource": "bad"}));
        assert!(malformed.trouble().is_some_and(|text| text.contains("is_include_data")), "{malformed:?}");
    }

    #[test]
    fn content_that_is_not_what_the_digest_says_is_not_taken() {
        let mut answer = Resource::new("lookup", "a").answer(true);
        assert_eq!(answer.content(), Some(b"a".to_vec()));
        answer.res_data = Some(STANDARD.encode("b"));
        assert_eq!(answer.content(), None);
    }
}
