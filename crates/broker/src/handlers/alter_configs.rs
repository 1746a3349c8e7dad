//! AlterConfigs, which replaces all configs of a resource and which old tools use, and IncrementalAlterConfigs (KIP-339).

use std::sync::Arc;

use thalweg_controller::{Ask, ConfigsRequest, Receiver, ReceiverRole, Refusal, preprocess, refuse_configs};
use thalweg_metadata::MetadataImage;
use thalweg_metadata::config::{BrokerConfigs, ConfigMap, ConfigTable};
use thalweg_metadata::image::{ConfigResource, ConfigResourceType};
use thalweg_network::ListenerType;
use thalweg_sys::task;
use thalweg_wire::ErrorCode;

use super::controller::ask;
use crate::broker::Broker;
use crate::call::Call;
use crate::config::NodeConfig;

/// Pools of threads that Kafka grows and shrinks at run time, at most by half or to the double.
const THREADS: [&str; 6] = [
    "background.threads",
    "log.cleaner.threads",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
];

pub(crate) async fn handle<Q>(call: Call, request: Q) -> <Q as ConfigsRequest>::Answered
where
    Q: ConfigsRequest + Ask<Response = <Q as ConfigsRequest>::Answered>,
{
    let role = match call.listener_type {
        ListenerType::Broker => ReceiverRole::Broker,
        ListenerType::Controller => ReceiverRole::Controller,
    };
    let (broker, asked) = (Arc::clone(&call.broker), request.clone());
    // Key material is read from files.
    let checked = task::blocking(move || {
        let image = broker.image();
        let receiver = Receiver {
            node: broker.config.node_id,
            role,
            image: &image,
            could_run: &|cluster, own| could_run(&broker, &image, cluster, own),
            loggers: &|changes| broker.loggers.change(changes, asked.validate_only()),
        };
        preprocess(receiver, &asked)
    });
    let Ok(checked) = checked.await else {
        return refuse_configs(&request, &Refusal::usual(ErrorCode::UnknownServerError));
    };
    let decided = ask(&call, checked.rest.clone()).await;
    checked.complete(decided)
}

/// Whether this node would start with these dynamic configurations, and could get there without a restart.
fn could_run(broker: &Broker, image: &MetadataImage, cluster: &ConfigMap, own: &ConfigMap) -> Result<(), String> {
    let fixed = &*broker.properties.get();
    let entry = |(name, value): (&Arc<str>, &Arc<str>)| (name.to_string(), value.to_string());
    let all: Vec<_> = fixed.iter().chain(cluster).chain(own).map(entry).collect();
    NodeConfig::for_formatting(&all).map_err(|refused| refused.message)?;
    let none = ConfigMap::new();
    let of = |name: &str| {
        let resource = ConfigResource { kind: ConfigResourceType::Broker, name: name.into() };
        image.configs().get(&resource).unwrap_or(&none)
    };
    let before = BrokerConfigs {
        dynamic_node: of(&broker.config.node_id.to_string()),
        dynamic_cluster: of(""),
        static_node: fixed,
    };
    let after = BrokerConfigs { dynamic_node: own, dynamic_cluster: cluster, static_node: fixed };
    for name in THREADS {
        let (now, new) = (number(name, &before), number(name, &after));
        if let Some(why) = refused_threads(name, now, new) {
            return Err(invalid(&why));
        }
    }
    for security in broker.securities.values() {
        security.check(after).map_err(|why| invalid(&why))?;
    }
    Ok(())
}

fn invalid(why: &str) -> String {
    format!(
        "Invalid value org.apache.kafka.common.config.ConfigException: {why} for configuration Invalid dynamic \
         configuration"
    )
}

/// Why a pool of threads cannot change so much at once. Cleaners have words of their own.
fn refused_threads(name: &str, now: i64, new: i64) -> Option<String> {
    let cleaners = name == "log.cleaner.threads";
    let general = |why: String| {
        Some(format!("Dynamic thread count update validation failed for {name}={new}, value should {why}"))
    };
    match new {
        _ if new == now => None,
        ..1 if cleaners => Some("Log cleaner threads should be at least 1".to_owned()),
        ..1 => general("be at least 1".to_owned()),
        _ if new < now / 2 && cleaners => {
            Some(format!("Log cleaner threads cannot be reduced to less than half the current value {now}"))
        }
        _ if new < now / 2 => general(format!("be at least half the current value {now}")),
        _ if new > now * 2 && cleaners => {
            Some(format!("Log cleaner threads cannot be increased to more than double the current value {now}"))
        }
        _ if new > now * 2 => general(format!("not be greater than double the current value {now}")),
        _ => None,
    }
}

fn number(name: &str, configs: &BrokerConfigs<'_>) -> i64 {
    let Some(def) = ConfigTable::BROKER.get(name) else { return 0 };
    let text = configs.get(name).or_else(|| def.default_text()).unwrap_or_default();
    def.parse(text).ok().and_then(|value| value.as_i64()).unwrap_or(0)
}
