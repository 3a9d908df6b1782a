"""What guests' pages have in common: one look, no script, nothing loaded from anywhere."""

import base64
import hashlib
from pathlib import Path

_COMMON = (Path(__file__).parent / "guest_page.css").read_text()


def styles(own: Path) -> str:
    """The common styles, and those of a page in the file `own`."""
    return _COMMON + own.read_text()


def policy(css: str) -> str:
    """The Content-Security-Policy of a page that has the styles `css`, and forms that go to itself."""
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
