//! Tags. Source: reference/rest-api.md section 7.2.

use crate::{Client, ClientError};
use muster_api_types::{SensorTags, TagCarriers, Tags};
use reqwest::Method;

impl Client {
    /// Every tag in use.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn tags(&self) -> Result<Vec<String>, ClientError> {
        Ok(self.get::<Tags>(&["tags", self.oid()], Vec::new()).await?.tags)
    }

    /// Sensors with a tag, each with all its tags.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn sensors_with_tag(&self, tag: &str) -> Result<TagCarriers, ClientError> {
        self.get(&["tags", self.oid(), tag], Vec::new()).await
    }

    /// Tags of a sensor, with who put them there and when.
    ///
    /// # Errors
    ///
    /// 404 for an unknown sensor.
    pub async fn tags_of(&self, sid: &str) -> Result<SensorTags, ClientError> {
        self.get(&[sid, "tags"], Vec::new()).await
    }

    /// Puts tags on a sensor, for some seconds or for good.
    ///
    /// # Errors
    ///
    /// 404 for an unknown sensor.
    pub async fn add_tags(&self, sid: &str, tags: &[String], ttl_s: Option<u64>) -> Result<(), ClientError> {
        let mut form: Vec<_> = tags.iter().map(|tag| ("tags", tag.clone())).collect();
        form.extend(ttl_s.map(|seconds| ("ttl", seconds.to_string())));
        self.act(Method::POST, &[sid, "tags"], form).await
    }

    /// Takes a tag off a sensor.
    ///
    /// # Errors
    ///
    /// 404 for an unknown sensor.
    pub async fn remove_tag(&self, sid: &str, tag: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &[sid, "tags"], vec![("tag", tag.to_owned())]).await
    }
}
