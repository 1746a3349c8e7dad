//! The pages: what each template is given. Everything that comes from the cluster is escaped where the template writes it.

mod broker;
mod cluster;
mod configs;
mod create;
mod group;
mod history;
mod messages;
mod newest;
mod plan;
mod record;
mod search;
mod sheet;
mod tail;
mod topic;

use askama::Template;

use crate::settings::Writes;
use crate::trouble::Trouble;
pub(crate) use broker::BrokerPage;
pub(crate) use cluster::{ClusterPage, ListQuery, TopicList, TopicsPage};
pub(crate) use configs::ConfigTable;
pub(crate) use create::{CreateForm, CreatePage};
pub(crate) use group::{GroupPage, GroupsPage, TopicGroupsPage};
pub(crate) use history::{Charts, HistoryPage, document as history_document};
pub(crate) use messages::{AllMessages, AllMessagesPage, Asked, MessagesPage, MessagesQuery};
pub(crate) use newest::NewestPage;
pub(crate) use plan::{Plan, PlanPage};
pub(crate) use record::RecordPage;
pub(crate) use search::{Found, Outcome, SearchForm, SearchPage, Took};
pub(crate) use sheet::{Cell, ChangeForm, Column, Input, SheetPage, Table};
pub(crate) use tail::TailPage;
pub(crate) use topic::{TopicFound, TopicPage};

/// What every page has around its content.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// What stands before every path.
    pub(crate) base: String,
    /// The cluster's nodes to begin with.
    pub(crate) bootstrap: String,
    /// The token of forms.
    pub(crate) token: String,
    /// What may be changed.
    pub(crate) writes: Writes,
    /// Which entry of the navigation is shown.
    pub(crate) at: &'static str,
    /// Command lines that show the same.
    pub(crate) elsewhere: Vec<String>,
    /// The console's version.
    pub(crate) version: &'static str,
    /// The address at which this page was asked for, without its query.
    pub(crate) url: String,
}

impl Frame {
    /// This frame, with this entry of the navigation.
    pub(crate) fn at(&self, at: &'static str) -> Self {
        Self { at, ..self.clone() }
    }

    /// This frame, with one of Kafka's tools and `curl` as other ways to what the page shows. `arguments` stand behind the
    /// address of the cluster.
    pub(crate) fn with_tool(mut self, tool: &str, arguments: &str) -> Self {
        self.elsewhere.push(format!("{tool} --bootstrap-server {} {arguments}", crate::text::shell(&self.bootstrap)));
        self
    }

    /// This frame with the command line that asks for the same as JSON.
    pub(crate) fn with_curl(mut self, path: &str) -> Self {
        let url = crate::text::shell(&format!("{}{}{path}", self.url, self.base));
        self.elsewhere.push(format!("curl -H 'Accept: application/json' {url}"));
        self
    }
}

/// The page that says why there is no other.
#[derive(Template)]
#[template(path = "trouble.html")]
pub(crate) struct TroublePage<'a> {
    frame: &'a Frame,
    reason: &'static str,
    message: String,
}

impl<'a> TroublePage<'a> {
    pub(crate) fn new(frame: &'a Frame, trouble: &Trouble) -> Self {
        let reason = match trouble {
            Trouble::NotFound(_) => "Not found",
            Trouble::Bad(_) => "This cannot be meant",
            Trouble::NotLoggedIn(_) => "Log in",
            Trouble::Forbidden(_) => "Not allowed",
            Trouble::Conflict(_) => "Not now",
            Trouble::Busy(_) => "Busy",
            Trouble::Away(_) => "The cluster does not answer",
            Trouble::Refused { .. } => "The cluster refuses",
        };
        Self { frame, reason, message: trouble.to_string() }
    }
}

/// Which part of a long list a page shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageOf {
    /// From 1 on.
    pub(crate) page: usize,
    /// How many there are.
    pub(crate) pages: usize,
}

/// So many rows has a page of a long list.
pub(crate) const ROWS_MAX: usize = 100;

impl PageOf {
    /// The page of this number, or the nearest to it.
    pub(crate) fn new(wanted: usize, rows: usize) -> Self {
        let pages = rows.div_ceil(ROWS_MAX).max(1);
        Self { page: wanted.clamp(1, pages), pages }
    }

    /// How many rows stand before it.
    pub(crate) fn before(self) -> usize {
        (self.page - 1) * ROWS_MAX
    }

    pub(crate) fn previous(self) -> Option<usize> {
        (self.page > 1).then(|| self.page - 1)
    }

    pub(crate) fn next(self) -> Option<usize> {
        (self.page < self.pages).then_some(self.page + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_not_there_is_the_nearest() {
        assert_eq!(PageOf::new(0, 0), PageOf { page: 1, pages: 1 });
        assert_eq!(PageOf::new(9, 101), PageOf { page: 2, pages: 2 });
        assert_eq!(PageOf::new(2, 101).before(), 100);
        assert_eq!((PageOf::new(1, 101).previous(), PageOf::new(1, 101).next()), (None, Some(2)));
    }

    #[test]
    fn what_comes_from_the_cluster_is_escaped() {
        let frame = Frame {
            base: String::new(),
            bootstrap: "<script>".to_owned(),
            token: String::new(),
            writes: Writes::ALL,
            at: "",
            elsewhere: vec!["'><img>".to_owned()],
            version: "",
            url: String::new(),
        };
        let page = TroublePage::new(&frame, &Trouble::Bad("<b>&\"'".to_owned())).render().expect("a page");
        assert!(page.contains("&#60;script&#62;") && page.contains("&#60;b&#62;&#38;&#34;&#39;"), "{page}");
        assert!(!page.contains("<img>") && !page.contains("<b>"), "{page}");
    }
}
