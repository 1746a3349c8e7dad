"""Data directories that Apache Kafka 4.3.1 wrote, kept in disk/fixtures, with what Kafka answered about them."""

from disk import fixtures
from harness.case import case


@case("directories/of_kafka_stopped_cleanly", own_node=True)
def clean(it):
    fixtures.opens(it.target, it.home / "clean", "clean")[0].stop()


@case("directories/of_kafka_killed", own_node=True)
def killed(it):
    fixtures.opens(it.target, it.home / "killed", "killed")[0].stop()


@case("directories/of_kafka_with_static_voters", own_node=True)
def older(it):
    fixtures.opens(it.target, it.home / "older", "older")[0].stop()
