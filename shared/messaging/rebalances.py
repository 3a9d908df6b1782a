"""Which partitions a worker takes over and gives up."""

from collections.abc import Callable
from dataclasses import dataclass, field

from aiokafka import ConsumerRebalanceListener
from aiokafka.structs import TopicPartition

from shared.crashpoints import crashpoint
from shared.process import telemetry


@dataclass
class Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Logs which partitions this process takes over and gives up, tells `taken_over`, and remembers those of which it
    knows nothing yet."""

    taken_over: Callable[[], None] = lambda: None
    unknown: set[TopicPartition] = field(default_factory=set)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Called before a new assignment, with the old one; empty in a process that just joined."""
        self.unknown.clear()
        if revoked:
            crashpoint("worker.in_rebalance")
            telemetry.logger().info("partitions.revoked", partitions=len(revoked))

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Called with the new assignment."""
        self.unknown.update(assigned)
        telemetry.logger().info("partitions.assigned", partitions=len(assigned))
        self.taken_over()
