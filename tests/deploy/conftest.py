"""Tests that start the whole system in containers run only when asked for: they build an image and take minutes."""

import subprocess

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Say what the marker means."""
    config.addinivalue_line("markers", "docker: starts the whole system in containers (`-m docker`)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave them out of other runs, and say why when there is no Docker."""
    ours = [item for item in items if item.get_closest_marker("docker")]
    reason = _reason(config) if ours else None
    if reason:
        for item in ours:
            item.add_marker(pytest.mark.skip(reason=reason))


def _reason(config: pytest.Config) -> str | None:
    if "docker" not in config.option.markexpr:
        return "the whole system in containers: `make test-compose`"
    for command in (("docker", "info"), ("docker", "compose", "version")):
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        except FileNotFoundError:
            return "there is no docker command on this machine"
        if answer.returncode != 0:
            return f"`{' '.join(command)}` failed: {answer.stderr.strip().splitlines()[-1:]}"
    return None
