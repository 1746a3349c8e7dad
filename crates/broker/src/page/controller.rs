//! The cluster as its controller sees it, the metadata quorum, and the replicas of this node.

use thalweg_base::metrics::{Kind, QUANTILES};
use thalweg_sys::time::{Duration, wall_clock_ms};

use super::Page;
use super::survey::Survey;
use crate::broker::Broker;

pub(super) fn write(page: &mut Page, broker: &Broker, survey: &Survey) {
    write_cluster(page, broker, survey);
    write_quorum(page, broker, survey);
    write_replicas(page, survey);
    write_dirs(page, survey);
    write_flushes(page, broker);
    write_replication(page, broker, survey);
}

fn write_cluster(page: &mut Page, broker: &Broker, survey: &Survey) {
    let (cluster, topics) = (&survey.cluster, survey.image.topics().len());
    let is_controller = broker.metadata.quorum().leader == broker.config.node_id;
    let gauges = [
        ("activecontrollercount", "Whether this node is the active controller.", usize::from(is_controller)),
        ("activebrokercount", "Brokers that are alive.", cluster.active_brokers),
        ("fencedbrokercount", "Brokers that are registered and fenced.", cluster.fenced_brokers),
        ("globaltopiccount", "Topics of the cluster.", topics),
        ("globalpartitioncount", "Partitions of the cluster.", cluster.partitions),
        ("offlinepartitionscount", "Partitions without a leader.", cluster.leaderless),
        (
            "preferredreplicaimbalancecount",
            "Partitions that another replica than the preferred one leads.",
            cluster.led_by_others_than_preferred,
        ),
    ];
    for (name, help, value) in gauges {
        page.gauge(&format!("kafka_controller_kafkacontroller_{name}"), help, value);
    }
    let unclean = broker.metadata.quorum().unclean_elections;
    for ending in ["_total", "persec"] {
        let name = format!("kafka_controller_controllerstats_uncleanleaderelections{ending}");
        page.counter(&name, "Partitions that were given a leader that may lack records.", unclean);
    }
    let (applied, quorum) = (survey.image.provenance(), broker.metadata.quorum());
    let lag_ms = if applied.offset.next() >= quorum.high_watermark { 0 } else { wall_clock_ms() - applied.timestamp.0 };
    for (name, help, value) in [
        ("lastcommittedrecordoffset", "The last metadata record that is committed.", quorum.high_watermark.0 - 1),
        ("lastappliedrecordoffset", "The last metadata record that this node has acted upon.", applied.offset.0),
        ("lastappliedrecordtimestamp", "The time of that record.", applied.timestamp.0),
        ("lastappliedrecordlagms", "How old that record is, 0 when there is no newer one.", lag_ms),
    ] {
        page.gauge(&format!("kafka_controller_kafkacontroller_{name}"), help, value);
    }
    for (name, help, value) in [
        ("last_applied_record_offset", "The last metadata record that this broker has acted upon.", applied.offset.0),
        ("last_applied_record_timestamp", "The time of that record.", applied.timestamp.0),
        ("last_applied_record_lag_ms", "How old that record is, 0 when there is no newer one.", lag_ms),
    ] {
        page.gauge(&format!("kafka_server_brokermetadatametrics_{name}"), help, value);
    }
}

/// Strimzi's rules write `raftmetrics`, those of the JMX exporter's example `raft_metrics`.
fn write_quorum(page: &mut Page, broker: &Broker, survey: &Survey) {
    let quorum = broker.metadata.quorum();
    let leads = quorum.leader == broker.config.node_id;
    let epoch = survey.image.provenance().epoch;
    let commits = quorum.commits;
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let rate = broker.metrics.rate("metadata_records", quorum.log_end.0.unsigned_abs(), broker.moment());
    let (appended, fetched) = if leads { (&rate, &0.0) } else { (&0.0, &rate) };
    for kind in ["raftmetrics", "raft_metrics"] {
        let gauges: [(&str, &str, &dyn std::fmt::Display); 12] = [
            ("current_leader", "The node that leads the metadata quorum, -1 when none is known.", &quorum.leader.0),
            ("current_epoch", "The epoch of the metadata quorum.", &quorum.epoch.0),
            (
                "current_vote",
                "The node that this one has voted for, -1 for none.",
                if leads { &quorum.leader.0 } else { &-1 },
            ),
            ("high_watermark", "Where the committed part of the metadata log ends.", &quorum.high_watermark.0),
            ("log_end_offset", "Where the metadata log ends.", &quorum.log_end.0),
            ("log_end_epoch", "The epoch of the last metadata record.", &epoch.0),
            ("number_of_voters", "The voters of the quorum.", &quorum.voters.len()),
            ("number_unknown_voter_connections", "Voters whose address is not known.", &0),
            ("append_records_rate", "Metadata records written a second as the leader, lately.", appended),
            ("fetch_records_rate", "Metadata records fetched a second from the leader, lately.", fetched),
            ("commit_latency_avg", "Milliseconds from a decision to its commit, on average.", &ms(commits.average())),
            ("commit_latency_max", "The longest such time.", &ms(commits.max)),
        ];
        for (name, help, value) in gauges {
            page.gauge(&format!("kafka_server_{kind}_{name}"), help, value);
        }
    }
    let state = quorum.state.clone();
    page.text.family("kafka_server_raftmetrics_current_state", Kind::Gauge, "The role in the quorum, as a label.");
    page.text.sample(&[("current_state", &state)], 1);
    page.text.family(
        "kafka_server_raft_metrics_current_state_info",
        Kind::Gauge,
        "The role in the quorum, as a label.",
    );
    page.text.sample(&[("state", &state)], 1);
}

fn write_replicas(page: &mut Page, survey: &Survey) {
    let producers: usize = survey.partitions.iter().filter_map(|(view, _)| view.log).map(|log| log.producers).sum();
    let gauges = [
        ("partitioncount", "Partitions on this node.", survey.partitions.len()),
        ("leadercount", "Partitions that this node leads.", survey.count(|_, r| r.is_leader)),
        ("offlinereplicacount", "Partitions whose log has failed.", survey.count(|view, _| view.offline)),
        (
            "underreplicatedpartitions",
            "Partitions led here of which some replica is not in sync.",
            survey.count(|_, r| r.is_under_replicated()),
        ),
        (
            "underminisrpartitioncount",
            "Partitions led here with fewer replicas in sync than min.insync.replicas.",
            survey.count(|_, r| r.is_under_min()),
        ),
        (
            "atminisrpartitioncount",
            "Partitions led here with no more replicas in sync than they need.",
            survey.count(|_, r| r.is_at_min()),
        ),
        ("reassigningpartitions", "Partitions led here that are moved.", survey.count(|_, r| r.is_reassigning)),
        ("produceridcount", "Idempotent producers that are remembered, by partition.", producers),
    ];
    for (name, help, value) in gauges {
        page.gauge(&format!("kafka_server_replicamanager_{name}"), help, value);
    }
}

/// What brokers copy from each other.
fn write_replication(page: &mut Page, broker: &Broker, survey: &Survey) {
    let lag = survey.partitions.iter().filter_map(|(view, _)| view.lag).max().unwrap_or(0);
    let now = broker.moment();
    let rates =
        broker.partitions.replication().fetchers().into_iter().map(|((leader, index), answered)| {
            broker.metrics.rate(&format!("fetcher {index} of {leader}"), answered, now)
        });
    let slowest = rates.reduce(f64::min).unwrap_or(0.0);
    let failed = survey.count(|view, replication| view.offline && replication.is_follower);
    let gauges: [(&str, &str, &dyn std::fmt::Display); 4] = [
        ("maxlag", "Committed records that the follower that is furthest behind lacks.", &lag),
        ("minfetchrate", "Fetches a second of the slowest fetcher, lately.", &slowest),
        ("failedpartitionscount", "Partitions that are not fetched since their log has failed.", &failed),
        ("deadthreadcount", "Always 0: a fetcher retries, and a bug in one ends the node.", &0),
    ];
    for (name, help, value) in gauges {
        page.text.family(&format!("kafka_server_replicafetchermanager_{name}"), Kind::Gauge, help);
        page.text.sample(&[("clientId", &"Replica")], value);
    }
    let counted = broker.partitions.replicated();
    for (bean, help, counter) in [
        (
            "replicamanager_isrexpands",
            "How often a partition led here had a replica more in sync.",
            &counted.isr_expands,
        ),
        ("replicamanager_isrshrinks", "How often one had a replica less in sync.", &counted.isr_shrinks),
        (
            "replicamanager_failedisrupdates",
            "How often the controller refused the replicas in sync that a leader here proposed.",
            &counted.failed_isr_updates,
        ),
        ("brokertopicmetrics_replicationbytesin", "Bytes of records fetched from other brokers.", &counted.bytes_in),
        ("brokertopicmetrics_replicationbytesout", "Bytes of records given to other brokers.", &counted.bytes_out),
    ] {
        for ending in ["_total", "persec"] {
            page.counter(&format!("kafka_server_{bean}{ending}"), help, counter.get());
        }
    }
    let exchanged = broker.metadata.exchanged();
    for (name, help, counter) in [
        ("incoming_byte_total", "Bytes that other controllers have answered.", &exchanged.received),
        ("outgoing_byte_total", "Bytes that other controllers were asked with.", &exchanged.sent),
        ("request_total", "Requests to other controllers.", &exchanged.requests),
        ("response_total", "Answers of other controllers.", &exchanged.responses),
    ] {
        page.counter(&format!("kafka_server_raftchannelmetrics_{name}"), help, counter.get());
    }
}

fn write_flushes(page: &mut Page, broker: &Broker) {
    let (name, times) = ("kafka_log_logflushstats_logflushrateandtimems", broker.partitions.flush_times());
    page.text.family(name, Kind::Gauge, "Milliseconds that it took to sync a log to the disk.");
    for (value, (_, quantile)) in times.quantiles().into_iter().zip(QUANTILES) {
        page.text.sample(&[("quantile", &quantile)], value);
    }
    page.counter(&format!("{name}_count"), "How many syncs were measured.", times.count());
}

fn write_dirs(page: &mut Page, survey: &Survey) {
    let offline = survey.dirs.iter().filter(|(_, offline)| *offline).count();
    page.gauge("kafka_log_logmanager_offlinelogdirectorycount", "Log directories that are offline.", offline);
    let help = "Whether a log directory is offline.";
    page.text.family("kafka_log_logmanager_logdirectoryoffline", Kind::Gauge, help);
    for (dir, offline) in &survey.dirs {
        page.text.sample(&[("logDirectory", &dir.display())], u8::from(*offline));
    }
}
