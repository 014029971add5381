//! What the table of routes says about each route.

use super::{ApiError, Call, Content, Kind, Reply};
use muster_api_types::schema::{self, SchemaOf};
use schemars::JsonSchema;
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
    /// What its text must be.
    pub kind: Kind,
    /// Must be there.
    pub is_required: bool,
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
    /// Name of the operation: the room and the verb. No two routes have the same.
    pub id: &'static str,
    /// One line for the API description.
    pub summary: &'static str,
    /// What it answers when it did what it was asked for.
    pub content: Content,
    /// HTTP status of that answer.
    pub status: u16,
    /// Schemas of what its answer holds, by a name in the path and by the field `action`.
    pub actions: Vec<(&'static str, &'static str, SchemaOf)>,
    /// What clients put into the query. They may put it into the body as well.
    pub query: Vec<Parameter>,
    /// What clients put into the body, as a form or a JSON object. They may put it into the query as well.
    pub form: Vec<Parameter>,
    /// Takes fields beyond these; its handler checks them.
    pub is_open: bool,
    /// The handler takes the body as a stream, however long it is.
    pub takes_stream: bool,
    /// Takes configurations, which are longer than other bodies may be.
    pub takes_documents: bool,
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
        Self {
            method,
            path,
            access,
            area: "",
            id: "",
            summary,
            content: Content::Unsaid,
            status: 200,
            actions: Vec::new(),
            query: Vec::new(),
            form: Vec::new(),
            is_open: false,
            takes_stream: false,
            takes_documents: false,
            is_keyed: false,
            handler,
        }
    }

    /// Describes an optional query parameter.
    #[must_use]
    pub fn query(mut self, name: &'static str, kind: Kind, about: &'static str) -> Self {
        self.query.push(Parameter { name, about, kind, is_required: false });
        self
    }

    /// Describes an optional form field.
    #[must_use]
    pub fn form(mut self, name: &'static str, kind: Kind, about: &'static str) -> Self {
        self.form.push(Parameter { name, about, kind, is_required: false });
        self
    }

    /// Describes a form field that must be there. The handler checks it.
    #[must_use]
    pub fn needs(mut self, name: &'static str, kind: Kind, about: &'static str) -> Self {
        self.form.push(Parameter { name, about, kind, is_required: true });
        self
    }

    /// Names the operation, and says that it answers JSON of this type.
    #[must_use]
    pub fn answers<T: JsonSchema>(self, id: &'static str) -> Self {
        Self { id, content: Content::Json(schema::of::<T>), ..self }
    }

    /// Names the operation, and says that it answers lines, each JSON of this type.
    #[must_use]
    pub fn answers_lines<T: JsonSchema>(self, id: &'static str) -> Self {
        Self { id, content: Content::Lines(schema::of::<T>), ..self }
    }

    /// Names the operation, and says that it answers bytes of this media type.
    #[must_use]
    pub fn answers_bytes(self, id: &'static str, media_type: &'static str) -> Self {
        Self { id, content: Content::Bytes(media_type), ..self }
    }

    /// Names the operation, and says that it answers nothing, with 204.
    #[must_use]
    pub fn answers_nothing(self, id: &'static str) -> Self {
        Self { id, content: Content::Nothing, status: 204, ..self }
    }

    /// Says that it answers with 201.
    #[must_use]
    pub fn created(self) -> Self {
        Self { status: 201, ..self }
    }

    /// Names the operation, and says that it is refused whatever is asked: it is here because clients call it.
    #[must_use]
    pub fn refuses(self, id: &'static str) -> Self {
        Self { id, content: Content::Never, ..self }
    }

    /// Says what is in `data` of the answer, for each action.
    #[must_use]
    pub fn actions(self, actions: Vec<(&'static str, &'static str, SchemaOf)>) -> Self {
        Self { actions, ..self }
    }

    /// Takes fields beyond those described; the handler checks them.
    #[must_use]
    pub fn open(mut self) -> Self {
        self.is_open = true;
        self
    }

    /// Takes bodies as long as a whole configuration.
    #[must_use]
    pub fn takes_documents(mut self) -> Self {
        self.takes_documents = true;
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
