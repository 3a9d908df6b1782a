"""The simulated phones as a page: what guests would see, newest first, with numbers masked."""

import html
import re
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from deploy.simulators.network import STATUS_TEXTS, Sent
from shared.persian.calendar import format_date
from shared.persian.text import persian_digits

SHOWN = 100
_LINK = re.compile(r"https?://\S+")
_TEHRAN = ZoneInfo("Asia/Tehran")

_PAGE = """<!doctype html>
<html lang="fa" dir="rtl">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="2">
<title>گوشی مهمان‌ها</title>
<style>
body {{ font-family: Vazirmatn, Tahoma, sans-serif; background: #eef1f4; margin: 0; padding: 1rem; color: #1c2733; }}
main {{ max-width: 40rem; margin: auto; }}
article {{ background: #fff; border-radius: .8rem; padding: .8rem 1rem; margin: .6rem 0; }}
p {{ white-space: pre-line; line-height: 1.8; margin: .3rem 0; overflow-wrap: anywhere; }}
header, footer {{ display: flex; justify-content: space-between; font-size: .85rem; color: #556; }}
</style>
</head>
<body><main>
<h1>گوشی مهمان‌ها</h1>
<p>{count} پیامک؛ شبیه‌ساز ارائه‌دهنده، هیچ پیامی به تلفن واقعی نمی‌رود.</p>
{messages}
</main></body></html>
"""


def page(sent: Sequence[Sent]) -> str:
    """The page with the newest messages."""
    messages = "\n".join(_article(message) for message in reversed(sent[-SHOWN:]))
    return _PAGE.format(count=persian_digits(str(len(sent))), messages=messages)


def masked(phone: str) -> str:
    """The number without its middle: enough to tell two guests apart."""
    return f"{phone[:4]}•••{phone[-4:]}"


def _article(message: Sent) -> str:
    at = datetime.fromtimestamp(message.date, _TEHRAN)
    when = f"{format_date(at.date())} {persian_digits(f'{at:%H:%M:%S}')}"
    return (
        f'<article><header><bdi dir="ltr">{persian_digits(masked(message.receptor))}</bdi>'
        f"<span>{when}</span></header><p>{_linked(message.message)}</p>"
        f"<footer><span>{STATUS_TEXTS[message.status]}</span>"
        f"<span>{persian_digits(f'{message.cost:,}')} ریال</span></footer></article>"
    )


def _linked(text: str) -> str:
    parts, end = [], 0
    for found in _LINK.finditer(text):
        address = html.escape(found[0], quote=True)
        parts += [html.escape(text[end : found.start()]), f'<a dir="ltr" href="{address}">{address}</a>']
        end = found.end()
    return "".join([*parts, html.escape(text[end:])])
