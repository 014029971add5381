//! What the table of routes says about each route.

use super::{ApiError, Call, Reply};
use std::future::Future;
use std::pin::Pin;

/// HTTP methods in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say all")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// As on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// Who may call a route. The organization is that of `{oid}` in the path, else
/// of `{sid}`, else of a field `oid`, else the only one of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone, without a token; the handler checks whatever else it gets.
    Public,
    /// Anyone with a valid token.
    Token,
    /// Members of the organization.
    Member,
    /// Members with this permission.
    May(&'static str),
}

pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Reply, ApiError>> + Send>>;
pub(super) type Handler = Box<dyn Fn(Call) -> Answer + Send + Sync>;

/// A parameter that a route takes. The table is the truth: what is not in it is refused.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Name on the wire.
    pub name: &'static str,
    /// What it means, with its unit and default.
    pub about: &'static str,
    /// Must be there.
    pub is_required: bool,
    /// Its text is JSON; in a JSON body it may stand as it is.
    pub is_document: bool,
}

/// One route.
pub struct Route {
    /// Method.
    pub method: Method,
    /// Path below `/v1`, with `{names}`; a path that begins with `//` is outside `/v1`.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// Under which the API description lists it.
    pub area: &'static str,
    /// One line for the API description.
    pub summary: &'static str,
    /// What clients put into the query. They may put it into the body as well.
    pub query: Vec<Parameter>,
    /// What clients put into the body, as a form or a JSON object. They may put it into the query as well.
    pub form: Vec<Parameter>,
    /// Takes fields beyond these; its handler checks them.
    pub is_open: bool,
    /// The handler takes the body as a stream, however long it is.
    pub takes_stream: bool,
    /// Takes an API key itself, as Live Response clients send it (`X-Auth-Token: KEY/CONNECTOR`), as well as a token.
    pub is_keyed: bool,
    pub(super) handler: Handler,
}

impl Route {
    /// A route with its handler.
    pub fn new<F, A>(method: Method, path: &'static str, access: Access, summary: &'static str, handler: F) -> Self
    where
        F: Fn(Call) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Reply, ApiError>> + Send + 'static,
    {
        let handler: Handler = Box::new(move |call| Box::pin(handler(call)));
        let (query, form) = (Vec::new(), Vec::new());
        let (is_open, takes_stream, is_keyed) = (false, false, false);
        Self { method, path, access, area: "", summary, query, form, is_open, takes_stream, is_keyed, handler }
    }

    /// Describes an optional query parameter.
    #[must_use]
    pub fn query(mut self, name: &'static str, about: &'static str) -> Self {
        self.query.push(Parameter { name, about, is_required: false, is_document: false });
        self
    }

    /// Describes an optional form field.
    #[must_use]
    pub fn form(mut self, name: &'static str, about: &'static str) -> Self {
        self.form.push(Parameter { name, about, is_required: false, is_document: false });
        self
    }

    /// Describes a form field that must be there. The handler checks it.
    #[must_use]
    pub fn needs(mut self, name: &'static str, about: &'static str) -> Self {
        self.form.push(Parameter { name, about, is_required: true, is_document: false });
        self
    }

    /// The form field described last holds JSON.
    #[must_use]
    pub fn document(mut self) -> Self {
        if let Some(last) = self.form.last_mut() {
            last.is_document = true;
        }
        self
    }

    /// Takes fields beyond those described; the handler checks them.
    #[must_use]
    pub fn open(mut self) -> Self {
        self.is_open = true;
        self
    }

    /// Takes an API key itself as well as a token.
    #[must_use]
    pub fn keyed(mut self) -> Self {
        self.is_keyed = true;
        self
    }

    /// The handler reads the body itself, as it comes.
    #[must_use]
    pub fn streaming(mut self) -> Self {
        self.takes_stream = true;
        self
    }
}
