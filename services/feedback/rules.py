"""The judgements of the feedback service: deadlines, sources, language, tone and topics. Pure.

Tone is read by a small lexicon, not by a model: it knows some two hundred words, negation and emphasis, and says
nothing (None) about a comment in which it knows no word. It understands neither irony nor comparison, and takes a cold
drink for a cold dish; the stars remain the measure, and the score only sorts comments for reading.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, get_args

from services.feedback.models.values import (
    FeedbackSource,
    FeedbackTopic,
    Language,
    Link,
    LinkState,
    PointKind,
    RatedDay,
    SeriesStep,
)
from shared.persian.calendar import Calendar, month_of
from shared.persian.text import search_key

LINK_LIVES: Final = timedelta(days=14)
FOLLOW_UP_WITHIN: Final = timedelta(hours=24)
LOW_RATING: Final = 2
# How long we keep from where somebody wrote, and a link that nobody can use any more.
KEEP_SENDER: Final = timedelta(days=30)
KEEP_DEAD_LINKS: Final = timedelta(days=30)

# For this long after a feedback its link surely still exists, to show the cafe's answer: dead links are kept that long.
ANSWER_REACHES: Final = KEEP_DEAD_LINKS - timedelta(days=2)

CATEGORIES: Final[tuple[FeedbackTopic, ...]] = get_args(FeedbackTopic)

# More openings of one link on one day show no more interest, and would cost an event each.
OPENINGS_A_DAY: Final = 20

_CODE_FORM: Final = re.compile("[a-z0-9]{12}")
_TOKEN_FORM: Final = re.compile(r"[A-Za-z0-9_-]{22}")
# Programs that look at a link before a person does, or instead: those that show previews, search or check.
_MACHINES: Final = re.compile(
    r"(?<!cu)bot\b|crawl|spider|slurp|preview|facebookexternalhit|facebot|whatsapp/|vkshare|embedly|google-safety"
    r"|googleother|apis-google|bitlybot|quora link|lighthouse",
    re.IGNORECASE,
)
_AHEAD: Final = re.compile("prefetch|prerender|preview", re.IGNORECASE)
_SOURCES: Final[dict[str, FeedbackSource]] = {"q": "qr_code", "w": "website"}


def link_expires(recorded_at: datetime) -> datetime:
    """Until when a visit's link can be used, counted from when we learned of the visit: a till may sync days late."""
    return recorded_at + LINK_LIVES


def looks_like_token(text: str) -> bool:
    """Whether it is worth looking for: 22 characters of base64url."""
    return _TOKEN_FORM.fullmatch(text) is not None


def looks_like_code(text: str) -> bool:
    """Whether it is worth looking for: 12 letters and digits, as points have them."""
    return _CODE_FORM.fullmatch(text) is not None


def source_of_point(kind: PointKind) -> FeedbackSource:
    """Where somebody found a point's code."""
    return "website" if kind == "website" else "qr_code"


def link_state(link: Link | None, moment: datetime) -> LinkState:
    """What a guest may do with the link at `moment`. A used link says so even after its time."""
    if link is None:
        return "unknown"
    return state_of(link.used_at, link.closed_at, link.expires_at, moment)


def state_of(used_at: datetime | None, closed_at: datetime | None, expires_at: datetime, moment: datetime) -> LinkState:
    """The same of a link that is there."""
    if used_at is not None:
        return "used"
    if closed_at is not None:
        return "closed"
    return "open" if moment < expires_at else "expired"


def source_of(marker: str | None) -> FeedbackSource:
    """Where a guest found the link, from its `?s=`: q on a printed code, w on a website, nothing in a message."""
    return _SOURCES.get(marker or "", "sms_link")


def answer_reaches(said_at: datetime, moment: datetime) -> bool:
    """Whether the guest can still find the cafe's answer on the page behind the link."""
    return moment - said_at <= ANSWER_REACHES


def is_opening(headers: Mapping[str, str]) -> bool:
    """Whether a person opened the page, as far as the request's headers tell: no program that previews or searches, and
    no browser that loads ahead."""
    ahead = (headers.get(name, "") for name in ("sec-purpose", "purpose", "x-purpose", "x-moz"))
    return not _MACHINES.search(headers.get("user-agent", "")) and not any(map(_AHEAD.search, ahead))


def follow_up_due(overall_rating: int, received_at: datetime) -> datetime | None:
    """By when somebody must have followed this up, or None when nobody has to."""
    return received_at + FOLLOW_UP_WITHIN if overall_rating <= LOW_RATING else None


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Weights from -1 to 1. All words are search keys: no half-space, no hamza, Persian ye and kaf.
_FA: Final = {
    1.0: "عالی محشر فوقالعاده بینظیر معرکه بهترین شاهکار بینقص",
    0.8: "خوشمزه لذیذ خوشطعم دلچسب خوشبو دوستداشتنی لذت عاشق عشق حرفهای",
    0.6: "خوب قشنگ زیبا تمیز گرمونرم خوشبرخورد مهربان مهربون مودب باادب صمیمی دلنشین راضی خوشحال جذاب دنج باکیفیت"
    " توصیه پیشنهاد ممنون مرسی سپاس متشکر سپاسگزار تشکر دمتون دمتونگرم پسندیدم باحال خلاق خوشفکر ترد تازه خوشقیمت",
    0.4: "اروم ارام سریع مناسب منصفانه منطقی راحت کافی مرتب معقول بهموقع",
    -0.4: "گران گرون شلوغ کند طولانی تاخیر معطل کوچک کوچیک معمولی شور تلخ بیات کهنه نپخته کمحجم دیر متوسط",
    -0.6: "بد سرد سوخته کثیف بیکیفیت بیمزه بدمزه بدطعم بدبو نامناسب ناراضی ناراحت پشیمان پشیمون دیررسید بینظم نامرتب"
    " اشتباه مشکل ضعیف بیادب بدبرخورد بیاحترام بیاحترامی بیتوجه بیتوجهی کلافه شکایت ناامید مسموم سوسک بداخلاق",
    -1.0: "افتضاح فاجعه مزخرف وحشتناک اشغال چندش چندشاور مسخره تاسف متاسف بدترین",
}
_EN: Final = {
    1.0: "excellent amazing perfect outstanding fantastic wonderful best superb awesome",
    0.8: "delicious great love loved lovely tasty beautiful yummy delightful",
    0.6: "good nice friendly clean cozy cosy kind polite happy recommend pleasant enjoyed thanks thank fresh",
    0.4: "fast quick fair comfortable quiet reasonable fine decent",
    -0.4: "expensive slow crowded noisy late average salty bitter small stale overpriced loud",
    -0.6: "bad cold dirty rude poor burnt tasteless disappointed disappointing wrong unhappy bland mistake worse sick",
    -1.0: "terrible awful horrible disgusting worst gross inedible",
}
# Persian in Latin letters, as guests type it on a phone without a Persian keyboard.
_FINGLISH: Final = {
    1.0: "ali aali mahshar foghollade",
    0.8: "khoshmaze",
    0.6: "khoob khob ghashang tamiz mersi merci mamnoon mamnon",
    -0.4: "geroon geron shologh",
    -0.6: "bad sard kasif badmaze bimaze",
    -1.0: "eftezah mozakhraf",
}
_FINGLISH_HINTS: Final = _words(
    "kheili kheyli khyli bood bud nabood nabud nist hast ghahve ghaza mazeh maze vaghean aslan baraye chera dashtid"
)


def _weights(*lexicons: Mapping[float, str]) -> dict[str, float]:
    return {word: weight for lexicon in lexicons for weight, words in lexicon.items() for word in words.split()}


_FA_WEIGHTS: Final = _weights(_FA)
_LATIN_WEIGHTS: Final = _weights(_FINGLISH, _EN)
_FINGLISH_WORDS: Final = (_weights(_FINGLISH).keys() - _weights(_EN).keys() | _FINGLISH_HINTS) - {"ali"}

# Colloquial copula, plural, comparative and possessive endings: خوبه, عالیه, خوشمزست, سردن, تمیزتر, گارسونهاتون.
_ENDINGS: Final = sorted(
    _words("ه ی ست است یه هست ن اند ند م ام اش ترین تر ها های هاش هاتون تون شون ش هم یم ید ین"), key=len, reverse=True
)
_EMPHASIS: Final = _words("خیلی بسیار واقعا فوق شدیدا کاملا very really so too extremely super kheili kheyli vaghean")
_PERSIAN_VERB: Final = re.compile(r"(بود|هست|است|شد|داشت|دار|کرد|میکن|میش|دادن?|bood|bud|hast)(م|ی|ه|د|یم|ید|ین|ند|ن)?")
_PERSIAN_NOT: Final = re.compile(
    r"ن(بود|داشت|دار|شد|کرد|خواه|خورد|دید)(م|ی|ه|د|یم|ید|ین|ند|ن)?|نیست(م|ی|یم|ید|ند|ن)?|نمی\w{2,}|nist|nabood|nabud"
)
_ENGLISH_NOT: Final = _words("not no never without hardly dont didnt wasnt isnt arent cant wont werent")
_WITHOUT: Final = frozenset(("بدون", "bedoone"))
# "Not excellent" is less than the opposite of excellent, and "not bad" is faint praise.
_TURNED: Final = -0.6
_NEGATION_REACHES: Final = 3

# "Liked" is two words in Persian, and the first alone means a friend.
_LIKED: Final = re.compile("دوست (?=ن?دا)")
_TOKEN: Final = re.compile(r"[^\W\d_]+(?:['’][a-z]+)?")
_CLAUSE: Final = re.compile(r"[.!?؟،,;؛:\n…]+|\b(?:ولی|اما|ولیکن|but|vali|ama)\b")

_TOPICS: Final = {
    "service": "سرویس گارسون پرسنل برخورد خدمات کارکنان صندوقدار رفتار service staff waiter waitress barista باریستا",
    "quality": "کیفیت طعم مزه قهوه غذا کیک نوشیدنی چای صبحانه ساندویچ پیتزا برگر دسر quality"
    " taste food coffee cake drink",
    "ambiance": "فضا محیط موزیک موسیقی دکور نور صندلی اهنگ atmosphere ambiance music vibe decor place",
    "price": "قیمت گران گرون ارزان ارزون پول هزینه مالیات price expensive cheap overpriced bill",
    "cleanliness": "تمیز کثیف نظافت بهداشت سوسک دستشویی clean dirty hygiene toilet",
    "waiting": "معطل تاخیر طولانی انتظار دیر کند صف slow wait waited waiting late delay",
}
_TOPIC_OF: Final = {word: topic for topic, words in _TOPICS.items() for word in words.split()}


def language_of(comment: str | None) -> Language:
    """`fa` or `en` by the letters it is written in; Persian in Latin letters is Persian; `fa` when there is nothing."""
    if not comment:
        return "fa"
    arabic = sum("\u0600" <= letter <= "\u06ff" for letter in comment)
    latin = sum(letter.isascii() and letter.isalpha() for letter in comment)
    if latin <= arabic:
        return "fa"
    return "fa" if _FINGLISH_WORDS & set(_TOKEN.findall(search_key(comment))) else "en"


def sentiment_of(comment: str | None) -> Decimal | None:
    """The comment's tone from -1.00 to 1.00: the mean of the words it knows; None when it knows none of them."""
    found: list[float] = []
    for clause in _CLAUSE.split(_LIKED.sub("دوستداشتنی ", search_key(comment or ""))):
        found.extend(_tones(_TOKEN.findall(clause)))
    if not found:
        return None
    mean = sum(found) / len(found)
    return Decimal(f"{max(-1.0, min(1.0, mean)):.2f}")


def _tones(words: list[str]) -> list[float]:
    """Weights of a clause's words. A Persian verb of denial turns what stands before it, English "not" what follows."""
    settled: list[float] = []
    waiting: list[float] = []
    emphasis, turned_for = 1.0, 0
    for word in words:
        if word in _EMPHASIS:
            emphasis = 1.4
        elif word in _ENGLISH_NOT or word in _WITHOUT or word.endswith(("n't", "n’t")):
            turned_for = _NEGATION_REACHES + 1
        elif _PERSIAN_NOT.fullmatch(word):
            settled.extend(tone * _TURNED for tone in waiting)
            waiting = []
        elif (weight := _weight(word)) is not None:
            waiting.append(weight * emphasis * (_TURNED if turned_for else 1.0))
            emphasis = 1.0
        elif _PERSIAN_VERB.fullmatch(word):
            settled.extend(waiting)
            waiting = []
        turned_for = max(0, turned_for - 1)
    return settled + waiting


def _weight(word: str) -> float | None:
    if word.isascii():
        return _LATIN_WEIGHTS.get(word)
    return next((_FA_WEIGHTS[stem] for stem in _stems(word) if stem in _FA_WEIGHTS), None)


def _stems(word: str) -> list[str]:
    """The word, and what is left without an ending."""
    return [word, *(word.removesuffix(end) for end in _ENDINGS if word.endswith(end) and len(word) - len(end) > 1)]


def categories_of(category_ratings: Mapping[str, int], comment: str | None) -> list[FeedbackTopic]:
    """What the feedback is about: the categories the guest rated and the topics that the comment names."""
    words = _TOKEN.findall(search_key(comment or ""))
    named = {_TOPIC_OF[stem] for word in words for stem in _stems(word) if stem in _TOPIC_OF}
    return [topic for topic in CATEGORIES if topic in category_ratings or topic in named]


def device_of(user_agent: str, accept_language: str) -> dict[str, Any] | None:
    """What kind of device it was, and no more than that: a whole User-Agent would point at a person."""
    if not user_agent:
        return None
    systems = (("Android", "android"), ("iPhone", "ios"), ("iPad", "ios"), ("Windows", "windows"), ("Mac OS", "macos"))
    system = next((name for mark, name in (*systems, ("Linux", "linux")) if mark in user_agent), "other")
    language = re.match(r"[A-Za-z]{2,3}", accept_language)
    return {"system": system, "mobile": "Mobi" in user_agent, "language": language[0].lower() if language else None}


def by_steps(days: Iterable[RatedDay], first: date, last: date, step: SeriesStep, calendar: Calendar) -> list[RatedDay]:
    """The ratings of [first, last] by steps, oldest first; a step without any is there too. Each begins with its own
    first day, or with `first`."""
    passed = (first + timedelta(days=past) for past in range((last - first).days + 1))
    starts = {day: max(first, _step_of(day, step, calendar)) for day in passed}
    found = {begins: RatedDay(begins, 0, 0, 0) for begins in starts.values()}
    for each in days:
        begins = starts[each.day]
        so_far = found[begins]
        found[begins] = RatedDay(
            begins, so_far.responses + each.responses, so_far.stars + each.stars, so_far.low + each.low
        )
    return list(found.values())


def _step_of(day: date, step: SeriesStep, calendar: Calendar) -> date:
    """The first day of the step in which a day lies; a week begins on Saturday."""
    if step == "month":
        return month_of(day, calendar)[0]
    return day - timedelta(days=(day.weekday() + 2) % 7) if step == "week" else day


def average_stars(rated: RatedDay) -> Decimal | None:
    """The average with two decimals; None of nothing."""
    return round(Decimal(rated.stars) / rated.responses, 2) if rated.responses else None
