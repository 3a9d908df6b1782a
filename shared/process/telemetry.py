"""Logs and the one list of our metric names; FastStream adds its own (`faststream_…`).

Neither ever holds a phone, a name, a token or a message's text.
"""

import logging
import sys
import time

import structlog
from prometheus_client import Counter, Gauge, Histogram

from shared.process.discreet import without_words

# Anything under these keys is a mistake of ours; the value never reaches the log.
PERSONAL_KEYS = frozenset(
    {"phone", "name", "email", "token", "text", "message_text", "address", "password", "secret", "key"}
)

# Clients that have lost their server say so many times a second, an hour long if need be.
REPETITIVE = frozenset({"aiokafka", "asyncpg"})
SAME_AGAIN_AFTER_SECONDS = 10.0

RECORDS = Counter("crm_records_total", "Records taken from a topic", ["service", "topic", "outcome"])
BATCH_SECONDS = Histogram(
    "crm_batch_seconds", "One batch from decoding to commit", ["service"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)  # fmt: skip
BATCH_RECORDS = Histogram(
    "crm_batch_records", "Records in a batch", ["service"], buckets=(1, 3, 10, 30, 100, 300, 1000, 5000)
)
LAG = Gauge("crm_lag_records", "Records of a partition not yet taken", ["service", "topic", "partition"])
LAST_BATCH = Gauge("crm_last_batch_timestamp_seconds", "When the last batch was committed", ["service"])
OUTAGES = Counter("crm_outages_total", "Batches put off because the database or broker was away", ["service"])
PARKED = Counter("crm_parked_total", "Records parked", ["service", "topic", "reason"])
FAILING_CAFES = Gauge(
    "crm_failing_cafes", "Cafes whose records failed one after another with none good between", ["service"]
)
FORGED = Counter(
    "crm_forged_total", "Records nobody vouches for: not signed, or wrongly", ["service", "topic", "reason"]
)
PARKED_WAITING = Gauge("crm_parked_waiting", "Parked records nobody has settled", ["service"])
PUBLISHED = Counter("crm_published_total", "Outbox rows confirmed by the broker", ["service"])
OUTBOX_AGE = Gauge("crm_outbox_oldest_seconds", "Age of the oldest unpublished event", ["service"])
RELAY_REBUILDS = Counter("crm_relay_rebuilds_total", "Times the relay made itself a new producer", ["service"])
JOB_SECONDS = Histogram("crm_job_seconds", "One run of a periodic job", ["service", "job"])
JOB_FAILURES = Counter("crm_job_failures_total", "Runs of a periodic job that failed", ["service", "job"])
JOB_CAFE_FAILURES = Counter(
    "crm_job_cafe_failures_total", "Times one cafe's part of a periodic job failed", ["service", "job"]
)
JOB_CAFES_ASIDE = Gauge(
    "crm_job_cafes_aside", "Cafes that a periodic job leaves out for a while: their part failed", ["service", "job"]
)
REQUESTS = Histogram("crm_http_seconds", "HTTP requests", ["service", "method", "route", "status"])


def _redact(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    return {key: "[redacted]" if key in PERSONAL_KEYS else value for key, value in event.items()}


class Seldom(logging.Filter):
    """Lets the same words of a client library through once in ten seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is to be written."""
        if record.name.partition(".")[0] not in REPETITIVE:
            return True
        # The words before their values are put in: there are only so many.
        words, now = (record.name, str(record.msg)), time.monotonic()
        if now < self._said.get(words, 0.0):
            return False
        self._said[words] = now + SAME_AGAIN_AFTER_SECONDS
        return True


def configure_logging(service: str, level: str = "INFO") -> None:
    """JSON lines on standard output, also for the libraries; `service` stands on every line."""
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    shared_steps: list[structlog.types.Processor] = [structlog.stdlib.add_log_level, stamp, _redact]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared_steps,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            without_words,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    handler.addFilter(Seldom())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # The server would print an unexpected error with its words, which may quote a row; ours is logged without them.
    logging.getLogger("uvicorn.error").addFilter(lambda line: "Exception in ASGI application" not in line.getMessage())
    for chatty in ("aiokafka", "uvicorn.access", "faststream", "httpx2", "httpcore2"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            *shared_steps,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)


def logger() -> structlog.stdlib.BoundLogger:
    """A logger whose every call is `log.info("noun.past_participle", field=value)`."""
    bound: structlog.stdlib.BoundLogger = structlog.get_logger()
    return bound
