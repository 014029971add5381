//! Payloads and artifacts. Source: reference/rest-api.md section 7.10.

use crate::history::Span;
use crate::{Client, ClientError};
use muster_api_types::{Artifact, ArtifactAddress, ArtifactPage, GetAddress, Payload, Payloads, PutAddress};
use reqwest::{Method, RequestBuilder, Response, Url};
use std::collections::BTreeMap;
use std::path::Path;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

/// Most pages of a list of artifacts that are followed.
const PAGES_MAX: usize = 10_000;

impl Client {
    /// Payloads by their name.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn payloads(&self) -> Result<BTreeMap<String, Payload>, ClientError> {
        Ok(self.get::<Payloads>(&["payload", self.oid()], Vec::new()).await?.payloads)
    }

    /// Uploads a file as a payload, in place of the one of that name.
    ///
    /// # Errors
    ///
    /// If the file cannot be read; else whatever the server says.
    pub async fn upload_payload(&self, name: &str, from: &Path) -> Result<(), ClientError> {
        let at = |source| ClientError::File { path: from.to_owned(), source };
        let file = File::open(from).await.map_err(at)?;
        let length = file.metadata().await.map_err(at)?.len();
        let put: PutAddress = self.call(Method::POST, &["payload", self.oid(), name], Vec::new(), Vec::new()).await?;
        let request = self
            .http
            .request(Method::PUT, address(&put.put_url)?)
            .header("content-type", "application/octet-stream")
            .header("content-length", length)
            .body(file);
        self.send(request).await.map(drop)
    }

    /// Downloads a payload into a new file; gives its size in bytes.
    ///
    /// # Errors
    ///
    /// If the file exists or cannot be written, 404 for an unknown payload.
    pub async fn download_payload(&self, name: &str, to: &Path) -> Result<u64, ClientError> {
        let get: GetAddress = self.get(&["payload", self.oid(), name], Vec::new()).await?;
        self.download(self.http.request(Method::GET, address(&get.get_url)?), to, |_| {}).await
    }

    /// Deletes a payload.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn delete_payload(&self, name: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &["payload", self.oid(), name], Vec::new()).await
    }

    /// Artifacts that arrived in a span of time.
    ///
    /// # Errors
    ///
    /// Whatever the server says.
    pub async fn artifacts(&self, span: Span, sid: Option<&str>) -> Result<Vec<Artifact>, ClientError> {
        let mut artifacts = Vec::new();
        let mut cursor = None::<String>;
        for _ in 0..PAGES_MAX {
            let mut query = match &cursor {
                Some(cursor) => vec![("cursor", cursor.clone())],
                None => vec![("start", span.start_s.to_string()), ("end", span.end_s.to_string())],
            };
            query.extend(sid.map(|sid| ("sid", sid.to_owned())));
            let page: ArtifactPage = self.get(&["insight", self.oid(), "artifacts"], query).await?;
            artifacts.extend(page.logs);
            cursor = page.next_cursor.filter(|next| !next.is_empty());
            if cursor.is_none() {
                break;
            }
        }
        Ok(artifacts)
    }

    /// Downloads an artifact into a new file; gives its size in bytes.
    ///
    /// # Errors
    ///
    /// If the file exists or cannot be written, 404 for an unknown artifact.
    pub async fn download_artifact(&self, id: &str, to: &Path) -> Result<u64, ClientError> {
        let path = ["insight", self.oid(), "artifacts", "originals", id];
        let get: ArtifactAddress = self.call(Method::POST, &path, Vec::new(), Vec::new()).await?;
        self.download(self.http.request(Method::GET, address(&get.export)?), to, |_| {}).await
    }

    /// Writes what a request gives to a new file; `moved` is told the bytes of each piece. Gives the size.
    pub(crate) async fn download(
        &self,
        request: RequestBuilder,
        to: &Path,
        moved: impl Fn(u64),
    ) -> Result<u64, ClientError> {
        let response = self.send(request).await?;
        let at = |source| ClientError::File { path: to.to_owned(), source };
        let mut file = File::create_new(to).await.map_err(at)?;
        let written = self.copy(response, &mut file, moved).await;
        match written {
            Ok(bytes) => file.sync_all().await.map(|()| bytes).map_err(at),
            Err(error) => {
                // A part of a file must not be taken for the whole.
                let _ = tokio::fs::remove_file(to).await;
                Err(error.into_client_error(at))
            }
        }
    }

    async fn copy(&self, mut response: Response, file: &mut File, moved: impl Fn(u64)) -> Result<u64, CopyError> {
        let mut bytes = 0;
        while let Some(chunk) = response.chunk().await.map_err(|error| CopyError::Call(self.unreachable(&error)))? {
            file.write_all(&chunk).await.map_err(CopyError::File)?;
            bytes += chunk.len() as u64;
            moved(chunk.len() as u64);
        }
        Ok(bytes)
    }
}

enum CopyError {
    Call(ClientError),
    File(std::io::Error),
}

impl CopyError {
    fn into_client_error(self, at: impl FnOnce(std::io::Error) -> ClientError) -> ClientError {
        match self {
            Self::Call(error) => error,
            Self::File(error) => at(error),
        }
    }
}

fn address(url: &str) -> Result<Url, ClientError> {
    Url::parse(url).map_err(|_| ClientError::Answer(format!("{url} is not an address")))
}
