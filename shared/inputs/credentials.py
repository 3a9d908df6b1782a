"""What the key to somebody else's service may look like: it travels in addresses and headers, where anything else would
change what is asked, or break the client that asks."""

import re
from typing import Annotated, Final

from pydantic import SecretStr

from shared.inputs.fields import Matching

PATTERN: Final = r"[A-Za-z0-9._~=+-]{8,200}"


def is_credential(text: str) -> bool:
    """Whether `text` is 8 to 200 visible ASCII characters, each of which means itself in addresses and headers."""
    return re.fullmatch(PATTERN, text) is not None


Credential = Annotated[
    SecretStr,
    Matching(PATTERN, 200, "کلید ۸ تا ۲۰۰ حرف انگلیسی، رقم و . _ ~ = + - بدون فاصله است؛ دوباره کپی کنید"),
]
