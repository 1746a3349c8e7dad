//! The process and the node as a whole.

use thalweg_base::metrics::Kind;
use thalweg_sys::process::Usage;

use super::Page;
use crate::broker::Broker;

/// Kafka's number for a broker that serves.
const RUNNING: i32 = 3;
/// Kafka's number for a broker that goes down.
const SHUTTING_DOWN: i32 = 7;

pub(super) fn write(page: &mut Page, broker: &Broker, usage: Option<Usage>) {
    page.text.family("thalweg_build_info", Kind::Gauge, "The version that runs.");
    page.text.sample(&[("version", &env!("CARGO_PKG_VERSION"))], 1);
    let state = if broker.closing.has_begun() { SHUTTING_DOWN } else { RUNNING };
    page.gauge("kafka_server_kafkaserver_brokerstate", "Kafka's number for the broker's state: 3 is running.", state);
    let started = broker.started_at.0 as f64 / 1000.0;
    page.gauge("process_start_time_seconds", "When the node started, in seconds since 1970.", started);
    let name = "kafka_server_app_info_starttimems";
    page.gauge(name, "The same in milliseconds.", broker.started_at.0);
    if let Some(usage) = usage {
        write_usage(page, &usage);
    }
    let Some(idle) = broker.metrics.idle(broker.moment()) else { return };
    for name in [
        "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent",
        "kafka_server_kafkarequesthandlerpool_requesthandleravgidlepercent_oneminuterate",
        "kafka_network_socketserver_networkprocessoravgidle_percent",
        "kafka_network_socketserver_networkprocessoravgidlepercent",
    ] {
        page.gauge(
            name,
            "How idle the workers were lately, from 0 to 1: the same ones handle requests and sockets.",
            idle,
        );
    }
}

fn write_usage(page: &mut Page, usage: &Usage) {
    for name in ["process_cpu_seconds_total", "process_cpu_secondspersec"] {
        page.counter(name, "Processor time used.", usage.cpu.as_secs_f64());
    }
    page.gauge("process_resident_memory_bytes", "Memory in RAM.", usage.resident_bytes);
    page.gauge("process_virtual_memory_bytes", "Memory that is mapped.", usage.virtual_bytes);
    page.gauge("process_open_fds", "Open file descriptors.", usage.open_files);
    page.gauge("process_max_fds", "How many file descriptors there may be.", usage.open_files_max);
    page.gauge("process_threads", "Threads.", usage.threads);
    let (read, written) = (usage.disk_read_bytes, usage.disk_written_bytes);
    page.counter("kafka_server_kafkaserver_linux_disk_read_bytes", "Bytes that disks had to read.", read);
    page.counter("kafka_server_kafkaserver_linux_disk_write_bytes", "Bytes written for the disks.", written);
}
