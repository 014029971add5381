//! What extensions alone are asked for. Source: reference/extension-protocol.md.

use crate::{Client, ClientError};
use muster_api_types::ExtensionSchema;

impl Client {
    /// What an extension takes and gives.
    ///
    /// # Errors
    ///
    /// 502 with the reason if the extension does not say.
    pub async fn extension_schema(&self, name: &str) -> Result<ExtensionSchema, ClientError> {
        self.get(&["extension", "schema", name], vec![("oid", self.oid().to_owned())]).await
    }
}
