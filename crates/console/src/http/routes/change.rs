//! How everything is changed: first a dry run, then, once the name of what changes was typed, the change.

use axum::extract::Form;
use axum::extract::rejection::FormRejection;
use axum::http::HeaderMap;

use super::super::{Answer, Wants};
use crate::console::Shared;
use crate::pages::{Frame, Plan, PlanPage};
use crate::settings::Switch;
use crate::trouble::Trouble;

/// A form as it comes, or why it is none.
pub(super) type Filled = Result<Form<Vec<(String, String)>>, FormRejection>;

/// The fields of a form.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn of(form: Filled) -> Result<Self, Trouble> {
        form.map(|Form(fields)| Self(fields)).map_err(|e| Trouble::Bad(e.body_text()))
    }

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

    /// All of the fields but those with which every change is sent.
    fn own(&self) -> Vec<(&str, &str)> {
        let own = self.0.iter().filter(|(name, _)| !matches!(name.as_str(), "token" | "confirm" | "dryRun"));
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

/// Whoever asks for a change, and how.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) shared: &'a Shared,
    pub(super) headers: &'a HeaderMap,
    pub(super) from: thalweg_http::From,
    pub(super) fields: &'a Fields,
}

/// A change of something that has a name.
pub(super) struct Change<'a> {
    asking: Asking<'a>,
    /// What the audit line says.
    what: &'static str,
    name: &'a str,
    /// Where the form goes.
    action: String,
    /// Where to go when it is done, or was not wanted.
    back: String,
}

impl<'a> Change<'a> {
    /// A change, if it is allowed. `action` and `back` are addresses below the console's path.
    pub(super) fn begin(
        asking: Asking<'a>,
        switch: Switch,
        what: &'static str,
        name: &'a str,
        (action, back): (String, String),
    ) -> Result<Self, Trouble> {
        asking.shared.guard.may_write(asking.headers, asking.fields.get("token"))?;
        asking.shared.settings.writes.check(switch)?;
        let base = &asking.shared.base;
        Ok(Self { asking, what, name, action: format!("{base}{action}"), back: format!("{base}{back}") })
    }

    /// Whether it is to be carried out: whether the name was typed. Without anything typed it is a dry run.
    pub(super) fn is_confirmed(&self) -> Result<bool, Trouble> {
        match self.asking.fields.get("confirm") {
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
        let fields = self.asking.fields.own();
        let (action, back) = (self.action.as_str(), self.back.as_str());
        Answer::page(&PlanPage { frame, plan, action, fields, name: self.name, back })
    }

    /// Answers when it was tried, and writes the audit line.
    pub(super) fn done(&self, plan: &Plan, result: Result<(), Trouble>) -> Result<Answer, Trouble> {
        let (what, name, ok) = (self.what, self.name, result.is_ok());
        tracing::info!(from = %self.asking.from.0, name, ok, effect = plan.effect, "audit: {what}");
        result?;
        if self.is_for_program() {
            return Ok(Answer::json(&serde_json::json!({ "done": true, "plan": plan })));
        }
        Ok(Answer::SeeOther(self.back.clone()))
    }

    fn is_for_program(&self) -> bool {
        Wants::of(self.asking.headers, Wants::Html) == Wants::Json
    }
}
