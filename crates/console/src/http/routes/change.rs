//! How everything is changed: first a dry run, then, once the name of what changes was typed, the change.

use std::sync::Arc;

use axum::extract::rejection::ExtensionRejection;
use axum::extract::{Extension, Form, FromRequest, FromRequestParts as _, Request};
use axum::http::HeaderMap;

use super::super::{Answer, Wants};
use crate::console::Shared;
use crate::login::Visitor;
use crate::pages::{Frame, Plan, PlanPage};
use crate::settings::Switch;
use crate::text;
use crate::trouble::Trouble;

/// The fields of a form. They may have a password, and are in no log.
#[derive(Clone, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// What was typed into a field, without blanks around it; `None` if nothing was.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let field = self.0.iter().find(|(known, _)| known == name);
        field.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// A field that must be filled in.
    pub(super) fn need(&self, name: &str) -> Result<&str, Trouble> {
        self.get(name).ok_or_else(|| Trouble::Bad(format!("the field {name} is missing")))
    }

    /// A number that must be typed in.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, Trouble> {
        let typed = self.need(name)?;
        typed.parse().map_err(|_| Trouble::Bad(format!("{name} must be a whole number, not `{typed}`")))
    }

    /// The fields as the query of an address.
    pub(super) fn query(&self) -> String {
        let pairs = self.0.iter().map(|(name, value)| format!("{}={}", text::part(name), text::part(value)));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// All of the fields but those with which every change is sent.
    pub(super) fn own(&self) -> Vec<(&str, &str)> {
        let own =
            self.0.iter().filter(|(name, _)| !matches!(name.as_str(), "token" | "confirm" | "dryRun" | "password"));
        own.map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

/// Configs, a `name=value` on each line.
pub(super) fn config_lines(typed: &str) -> Result<Vec<(String, String)>, Trouble> {
    let lines = typed.lines().map(str::trim).filter(|line| !line.is_empty());
    let config = |line: &str| {
        let pair = line.split_once('=');
        let (name, value) =
            pair.ok_or_else(|| Trouble::Bad(format!("the config `{line}` must have the form name=value")))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    };
    lines.map(config).collect()
}

/// A form that asks for a change, and whoever sent it.
pub(super) struct Sent {
    pub(super) shared: Arc<Shared>,
    pub(super) headers: HeaderMap,
    from: thalweg_http::From,
    visitor: Visitor,
    /// What was filled in, or why that is no form.
    fields: Result<Fields, String>,
}

impl FromRequest<Arc<Shared>> for Sent {
    type Rejection = ExtensionRejection;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, ExtensionRejection> {
        let (mut parts, body) = request.into_parts();
        let Extension(from) = Extension::from_request_parts(&mut parts, shared).await?;
        let Extension(visitor) = Extension::from_request_parts(&mut parts, shared).await?;
        let headers = parts.headers.clone();
        let form = Form::from_request(Request::from_parts(parts, body), shared).await;
        let fields = form.map(|Form(fields)| Fields(fields)).map_err(|e| e.body_text());
        Ok(Self { shared: Arc::clone(shared), headers, from, visitor, fields })
    }
}

impl Sent {
    pub(super) fn fields(&self) -> Result<&Fields, Trouble> {
        self.fields.as_ref().map_err(|why| Trouble::Bad(why.clone()))
    }
}

/// A change of something that has a name.
pub(super) struct Change<'a> {
    sent: &'a Sent,
    fields: &'a Fields,
    /// What the audit line says.
    what: &'static str,
    name: &'a str,
    /// Where the form goes.
    action: String,
    /// Where to go when it is done, or was not wanted.
    back: String,
    /// Whether the plan asks for a password.
    asks_password: bool,
}

impl<'a> Change<'a> {
    /// A change, if it is allowed. `action` and `back` are addresses below the console's path.
    pub(super) fn begin(
        (sent, fields): (&'a Sent, &'a Fields),
        switch: Switch,
        what: &'static str,
        name: &'a str,
        (action, back): (String, String),
    ) -> Result<Self, Trouble> {
        sent.shared.guard.may_write(&sent.headers, fields.get("token"))?;
        sent.shared.settings.writes.check(switch)?;
        let base = &sent.shared.base;
        let (action, back) = (format!("{base}{action}"), format!("{base}{back}"));
        Ok(Self { sent, fields, what, name, action, back, asks_password: false })
    }

    /// This change, whose plan asks for a password.
    pub(super) fn asking_password(self) -> Self {
        Self { asks_password: true, ..self }
    }

    /// Whether it is to be carried out: whether the name was typed. Without anything typed it is a dry run.
    pub(super) fn is_confirmed(&self) -> Result<bool, Trouble> {
        match self.fields.get("confirm") {
            None => Ok(false),
            Some(typed) if typed == self.name => Ok(true),
            Some(_) => Err(Trouble::Bad(format!("nothing was changed: {} was not typed", self.name))),
        }
    }

    /// Shows what it would do.
    pub(super) fn planned(&self, plan: &Plan, frame: Frame) -> Answer {
        if self.is_for_program() {
            return Answer::json(&serde_json::json!({ "done": false, "plan": plan }));
        }
        let fields = self.fields.own();
        let (action, back) = (self.action.as_str(), self.back.as_str());
        let asks_password = self.asks_password;
        Answer::page(&PlanPage { frame, plan, action, fields, name: self.name, back, asks_password })
    }

    /// Writes the audit line of a change that was tried.
    pub(super) fn audit<T>(&self, effect: &str, result: &Result<T, Trouble>) {
        let (what, name, ok, visitor) = (self.what, self.name, result.is_ok(), &self.sent.visitor);
        tracing::info!(from = %self.sent.from.0, %visitor, name, ok, effect, "audit: {what}");
    }

    /// Answers when it was tried, and writes the audit line.
    pub(super) fn done(&self, plan: &Plan, result: Result<(), Trouble>) -> Result<Answer, Trouble> {
        self.audit(&plan.effect, &result);
        result?;
        if self.is_for_program() {
            return Ok(Answer::json(&serde_json::json!({ "done": true, "plan": plan })));
        }
        Ok(Answer::SeeOther(self.back.clone()))
    }

    pub(super) fn is_for_program(&self) -> bool {
        Wants::of(&self.sent.headers, Wants::Html) == Wants::Json
    }
}
