"""The jars of a Kafka broker: fetched once by Maven, checked against pinned digests, kept in the user's cache."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.engines import packages
from deploy.engines.engine import EngineError

HERE = Path(__file__).parent
KAFKA = "kafka-4.3.1"


def classpath() -> str:
    """The broker's class path, fetching the jars when this machine has not got them yet.

    The order is fixed: a shared class archive is only valid for the very class path it was made with.
    Raises EngineError when Maven is missing, fails, or brings other bytes than the pinned ones.
    """
    libs = cache_folder() / "libs"
    if not libs.exists():
        _fetch(libs)
    return ":".join(str(libs / name) for name in sorted(pinned_digests()))


def java() -> str:
    """The `java` command; installs a runtime when there is none."""
    home = os.environ.get("JAVA_HOME")
    if home and (Path(home) / "bin/java").exists():
        return str(Path(home) / "bin/java")
    return _program("java", "default-jre-headless")


def cache_folder() -> Path:
    """Where the jars and the class archive are kept, outside the tree."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "servaan-crm" / KAFKA


def pinned_digests() -> dict[str, str]:
    """File name of each jar to its SHA-256 in hex."""
    lines = (HERE / "kafka.sha256").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def check(libs: Path) -> None:
    """Compare a folder of jars with the pinned digests; raises EngineError naming what differs."""
    actual = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in libs.glob("*.jar")}
    expected = pinned_digests()
    differing = sorted(name for name in actual.keys() | expected.keys() if actual.get(name) != expected.get(name))
    if differing:
        raise EngineError(f"jars that are not the pinned ones (deploy/engines/kafka.sha256): {', '.join(differing)}")


def _fetch(libs: Path) -> None:
    java()
    maven = _program("mvn", "maven")
    print("fetching Apache Kafka 4.3.1 (44 MB, once)", file=sys.stderr, flush=True)
    libs.parent.mkdir(parents=True, exist_ok=True)
    # Two runs may fetch at once: each fills a folder of its own, and a rename shows only complete, checked folders.
    with tempfile.TemporaryDirectory(dir=libs.parent) as work:
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={work}/libs"]
        command = [maven, "-q", "-B", "-f", str(HERE / "pom.xml"), *goal]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise EngineError(f"Maven could not fetch Kafka:\n{(done.stdout + done.stderr)[-2000:]}")
        check(Path(work) / "libs")
        try:
            (Path(work) / "libs").rename(libs)
        except OSError:
            if not libs.exists():
                raise


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        packages.install([package], because=f"Kafka needs `{name}`")
        found = shutil.which(name)
    if found is None:
        raise EngineError(f"no `{name}` on this machine; give a broker's address as CRM_KAFKA_SERVERS")
    return found
