"""The guest's page as HTML: right to left, no script, nothing loaded from anywhere."""

from collections.abc import Mapping
from datetime import date
from html import escape
from pathlib import Path

from persiantools.jdatetime import JalaliDate
from pydantic import ValidationError

from services.feedback.models.http import COMMENT_LIMIT
from services.feedback.models.values import Link
from shared.persian.calendar import format_date
from shared.persian.text import persian_digits
from shared.web import guest_page

CSS = guest_page.styles(Path(__file__).parent / "page.css")

HEADERS = {
    "Content-Security-Policy": guest_page.policy(CSS),
    # The address is the credential: it goes to nobody else and into no cache or index.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
}

RATED = {"service": "سرویس", "quality": "کیفیت و مزه", "ambiance": "فضا و محیط"}
GRADES = {1: "خیلی بد", 2: "بد", 3: "معمولی", 4: "خوب", 5: "عالی"}

CUP = (
    '<path d="M4 9h12v6a5 5 0 0 1-5 5H9a5 5 0 0 1-5-5z"/><path d="M16 10.5h1.5a2.5 2.5 0 0 1 0 5H16M8 3v2.5M12 3v2.5"/>'
)
CHECK = '<path d="M5 12.5 10 17.5 19.5 7"/>'
CLOCK = '<circle cx="12" cy="12" r="8.5"/><path d="M12 7v5l3.5 2"/>'
STAR = (
    '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M12 2.4 14.9 8.6 21.7 9.4 16.7 14 18 20.8 12 17.4 6 20.8 '
    '7.3 14 2.3 9.4 9.1 8.6z"/></svg>'
)

# What a link that can't be used, or was just used, is answered with: title and text in Persian, and English.
ANSWERS = {
    "thanks": (
        "سپاس از شما",
        "نظرتان به دست کافه رسید. امیدواریم زود شما را ببینیم.",
        "Thank you. The cafe has received your feedback.",
    ),
    "used": (
        "نظر شما ثبت شده است",
        "برای هر بازدید یک بار می‌شود نظر داد، و نظر این بازدید پیش‌تر رسیده است. سپاس از شما.",
        "Feedback for this visit was already sent. Thank you.",
    ),
    "expired": (
        "زمان این پیوند گذشته است",
        "پیوند نظر تا دو هفته پس از بازدید باز است. حرفتان را در بازدید بعدی به ما بگویید.",
        "This link has expired. Please tell us on your next visit.",
    ),
    "closed": (
        "این پیوند دیگر در دسترس نیست",
        "این پیوند بسته شده است و نظری نمی‌گیرد. اگر حرفی دارید، در کافه به ما بگویید.",
        "This link was withdrawn. If there is anything to say, please tell us at the cafe.",
    ),
    "unknown": (
        "پیوند درست نیست",
        "این پیوند را نمی‌شناسیم. اگر تازه رسیده است، یک دقیقه دیگر بازش کنید؛ اگر با دست نوشته‌اید، نگاهش کنید.",
        "This link is not valid. If it has just come, please try again in a minute; if you typed it, please check it.",
    ),
    "no_point": (
        "این کد را نمی‌شناسیم",
        "کد روی میز را دوباره بخوانید، یا حرفتان را در کافه به ما بگویید.",
        "There is no such code. Please scan it again, or tell us at the cafe.",
    ),
    "busy": (
        "کمی بعد دوباره",
        "در یک دقیقهٔ گذشته تلاش‌های زیادی از این نشانی رسیده است. یک دقیقه دیگر دوباره باز کنید.",
        "Too many tries from this address. Please try again in a minute.",
    ),
}


def rating_page(
    link: Link, *, typed: Mapping[str, str] | None = None, alert: str | None = None, answer: str | None = None
) -> str:
    """The form about a visit. `typed` is what the guest had filled in when `alert` had to be shown; `answer` what the
    cafe has said to what it heard of this visit in another way."""
    visit = f"بازدید {_day(link.visit.visit_date, link.calendar)}"
    return form_page(link.cafe_name, visit, typed=typed, alert=alert, answer=answer)


def alert_of(error: ValidationError) -> str:
    """What is wrong with a form that was sent."""
    fields = {problem["loc"][0] for problem in error.errors()}
    return "نظرتان بلندتر از اندازه است؛ کوتاه‌ترش کنید." if fields == {"comment"} else "لطفاً از یک تا پنج ستاره بدهید."


def form_page(
    cafe_name: str | None,
    about: str,
    *,
    typed: Mapping[str, str] | None = None,
    alert: str | None = None,
    answer: str | None = None,
) -> str:
    """The form about whatever `about` says."""
    typed = typed or {}
    warning = f'<p class="alert" role="alert">{escape(alert)}</p>' if alert else ""
    rows = "".join(
        f'<div class="row" role="radiogroup" aria-label="{label}"><span>{label}</span>{_stars(name, typed)}</div>'
        for name, label in RATED.items()
    )
    body = f"""
<main class="card">
<header><div class="mark"><svg viewBox="0 0 24 24" aria-hidden="true">{CUP}</svg></div>
<h1>{escape(cafe_name or "نظر شما")}</h1>
<p class="when">{escape(about)}</p></header>
{_said_by_cafe(answer)}{warning}<form method="post">
<fieldset class="overall"><legend>روی‌هم‌رفته چطور بود؟</legend>{_stars("overall_rating", typed, required=True)}
<p class="word" aria-hidden="true"></p></fieldset>
<p class="ask">متأسفیم که خوش نگذشت. بنویسید چه شد؛ کسی از کافه پیگیری می‌کند.</p>
<fieldset><legend>کمی دقیق‌تر <span class="optional">(اختیاری)</span></legend>{rows}</fieldset>
<fieldset><legend><label for="comment">حرفی دارید؟ <span class="optional">(اختیاری)</span></label></legend>
<textarea id="comment" name="comment" maxlength="{COMMENT_LIMIT}" dir="auto"
 placeholder="چه چیزی به دلتان نشست، و چه چیزی را بهتر کنیم؟">{escape(typed.get("comment", ""))}</textarea></fieldset>
<button type="submit">فرستادن نظر</button>
</form>
<footer>نظر شما تنها به دست همین کافه می‌رسد.</footer>
</main>"""
    return _document(f"نظر شما دربارهٔ {cafe_name}" if cafe_name else "نظر شما", body)


def answer_page(which: str, answer: str | None = None) -> str:
    """One of ANSWERS, with what the cafe has answered to the guest."""
    title, text, english = ANSWERS[which]
    if answer:
        which, title, english = "used", "پاسخ کافه به نظر شما", "The cafe has answered your feedback."
    mood, icon = ("good", CHECK) if which in ("thanks", "used") else ("bad", CLOCK)
    body = f"""
<main class="card answer {mood}">
<div class="mark"><svg viewBox="0 0 24 24" aria-hidden="true">{icon}</svg></div>
<h1>{title}</h1>{_said_by_cafe(answer)}<p>{text}</p>
<p class="english" lang="en" dir="ltr">{english}</p>
</main>"""
    return _document(title, body)


def _said_by_cafe(answer: str | None) -> str:
    lines = "<br>".join(escape(line) for line in answer.splitlines()) if answer else ""
    return f'<blockquote class="reply" dir="auto">{lines}</blockquote>' if lines else ""


def _stars(name: str, typed: Mapping[str, str], *, required: bool = False) -> str:
    need = " required" if required else ""
    return (
        '<div class="stars">'
        + "".join(
            f'<input type="radio" id="{name}-{grade}" name="{name}" value="{grade}"{need}'
            f"{' checked' if typed.get(name) == str(grade) else ''}>"
            f'<label for="{name}-{grade}" title="{word}">{STAR}'
            f'<span class="sr">{persian_digits(str(grade))} ستاره، {word}</span></label>'
            for grade, word in GRADES.items()
        )
        + "</div>"
    )


def _day(day: date, calendar: str) -> str:
    if calendar == "gregorian":
        return format_date(day, "gregorian")
    jalali = JalaliDate(day)  # type: ignore[no-untyped-call]
    weekday, number, month = jalali.strftime("%A|%d|%B", locale="fa").split("|")
    return f"{weekday} {number.removeprefix('۰')} {month}"


def _document(title: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="fa" dir="rtl">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>{body}\n</body>\n</html>\n"
    )
