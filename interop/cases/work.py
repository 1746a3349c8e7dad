"""What clients do with a cluster while something happens to it. No cases here."""

from harness.case import eventually

from .copier import Copier
from .load import PARTITIONS, Load
from .o_cluster import create, in_sync


class Work:
    """An idempotent producer and a transactional copier that run through what happens to a cluster."""

    def __init__(self, it, cluster, rate=400):
        self.cluster = cluster
        self.source, self.target = it.new_name(), it.new_name()
        self.admin = create(cluster, self.source, min_insync_replicas=2)
        create(cluster, self.target, min_insync_replicas=2)
        self.load = Load(cluster.bootstrap, self.source, True, rate=rate)
        self.copier = Copier(cluster.bootstrap, self.source, self.target, it.new_name("copier"))
        self.goes_on("at the beginning")

    def goes_on(self, when, seconds=120):
        """Until more has been acknowledged and copied than now."""
        copied = self.copier.copied
        self.is_acknowledged(when, seconds)
        try:
            eventually(lambda: self.copier.failure or self.copier.copied > copied + 300, f"the copier goes on {when}", seconds)
        except AssertionError as late:
            raise AssertionError(f"{late}; of late: {self.copier.notes[-8:]}") from None

    def is_acknowledged(self, when, seconds=120):
        """Until more has been acknowledged than now, of every partition."""
        before = [len(rows) for rows in self.load.acknowledged]
        grown = lambda: all(len(rows) > count + 200 for rows, count in zip(self.load.acknowledged, before))
        eventually(grown, f"the load goes on {when}", seconds)

    def whole(self, when, seconds=120):
        """Until every replica is in sync."""
        lagging = lambda: [topic for topic in (self.source, self.target) if in_sync(self.admin, topic) != [3] * PARTITIONS]
        eventually(lambda: not lagging(), f"all replicas are in sync {when}", seconds)

    def finish(self, it):
        """Ends both, and compares what was acknowledged and copied with what is there."""
        self.load.finish()
        self.copier.finish(sum(self.load.sent))
        self.load.check(self.cluster.bootstrap)
        self.copier.check(self.load.sent)
        counts = f"{self.copier.commits} transactions, {self.copier.aborts} aborted, {self.copier.restarts} restarts"
        it.note(f"{self.load.count()} records, {counts}; the slowest took {self.copier.slowest:.1f} s")
