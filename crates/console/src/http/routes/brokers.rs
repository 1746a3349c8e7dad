//! `/broker`: brokers.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::super::{Answer, Wants};
use super::{Console, answered};
use crate::kafdrop::{self, Broker};
use crate::kafka::ConfigScope;
use crate::pages::BrokerPage;
use crate::trouble::Trouble;

/// All brokers, as JSON: their page is the cluster's.
pub(super) async fn list(State(shared): Console, headers: HeaderMap) -> Response {
    let work = async {
        let snapshot = shared.kafka.snapshot().await?;
        if Wants::of(&headers, Wants::Json) == Wants::Html {
            return Ok(Answer::SeeOther(format!("{}/", shared.base)));
        }
        Ok(Answer::json(&kafdrop::brokers(&snapshot)))
    };
    answered(&shared, &headers, Wants::Json, work).await
}

/// A broker.
pub(super) async fn one(State(shared): Console, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let work = async {
        let id: i32 = id.parse().map_err(|_| Trouble::Bad(format!("{id} is no id of a broker")))?;
        let snapshot = shared.kafka.snapshot().await?;
        let broker = snapshot.broker(id)?;
        if Wants::of(&headers, Wants::Html) == Wants::Json {
            return Ok(Answer::json(&Broker::of(&snapshot, broker)));
        }
        let (dirs, configs) = tokio::join!(shared.kafka.log_dirs(id), shared.kafka.configs(ConfigScope::Broker(id)));
        let frame = shared
            .frame(&headers)
            .at("cluster")
            .with_tool("kafka-configs.sh", &format!("--describe --all --entity-type brokers --entity-name {id}"))
            .with_tool("kafka-log-dirs.sh", &format!("--describe --broker-list {id}"))
            .with_curl(&format!("/broker/{id}"));
        Ok(Answer::page(&BrokerPage::new(frame, &snapshot, broker, dirs, configs)))
    };
    answered(&shared, &headers, Wants::Html, work).await
}
