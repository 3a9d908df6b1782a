"""A draft of rules in its two shapes: the fields of the editor, with whatever was typed, and the JSON of the API.

Fields are named by the path of what they hold, as `earn.2.points`, which is also how the API names it when it is
wrong. Beside them `earn.2.form` says which kind of rule it is, and `earn.2.with` which conditions are put to it.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

from services.console.rules.rule_blanks import Blank, Fields, Wrong, read, written
from services.console.rules.rule_forms import FORMS, OF_KEY, PLACES, STACKING, RuleForm, RulePlace, form_of, value_at
from services.console.rules.speech import Speech

MOST_RULES: Final = 50
Faults = dict[str, str]
_PLACE: Final = {each.name: each for each in PLACES}


def fields_of(rules: Mapping[str, Any], s: Speech) -> dict[str, tuple[str, ...]]:
    """The fields that give these rules."""
    fields: dict[str, tuple[str, ...]] = {"stacking": (rules.get("stacking") or STACKING[0],)}
    for place in PLACES:
        found = rules.get(place.name)
        several = list(found or ()) if place.how_many == "many" else [found or {}]
        for number, rule in enumerate(several):
            if found or place.how_many == "always":
                at = f"{place.name}.{number}" if place.how_many == "many" else place.name
                fields |= {
                    f"{at}.{name}": each for name, each in _entry(form_of(place.name, rule), rule, place, s).items()
                }
    return fields


def rules_of(fields: Fields, s: Speech) -> tuple[dict[str, Any], Faults]:
    """What the fields say of the rules, as the API takes it; and by the name of a field the fault in it."""
    faults: Faults = {}
    stacking = (fields.get("stacking") or ("",))[0]
    rules: dict[str, Any] = {"stacking": stacking if stacking in STACKING else STACKING[0]}
    for place in PLACES:
        found = [_rule(form, fields, at, place, s, faults) for at, form in entries(fields, place.name)]
        rules[place.name] = found if place.how_many == "many" else found[0] if found else None
    return rules, faults


def entries(fields: Fields, place: str) -> list[tuple[str, RuleForm]]:
    """The rules that stand at a place, in their order: the path of each, and its kind."""
    how_many = _PLACE[place].how_many
    if how_many == "always":
        return [(place, next(each for each in FORMS if each.place == place))]
    paths = (f"{place}.{number}" for number in range(MOST_RULES)) if how_many == "many" else (place,)
    found: list[tuple[str, RuleForm]] = []
    for at in paths:
        form = OF_KEY.get((fields.get(f"{at}.form") or ("",))[0])
        if form is None or form.place != place:
            break
        found.append((at, form))
    return found


def moved(fields: Fields, step: str) -> dict[str, tuple[str, ...]]:
    """The fields after a step of the editor, as `add.visit`, `remove.earn.2`, `up.earn.2`, `with.earn.2.per_day`,
    `without.earn.2.per_day` or `span.multiply.0.dates`. What is no such step changes nothing."""
    do, _, at = step.partition(".")
    if do == "add" and at in OF_KEY:
        return _added(fields, OF_KEY[at])
    if do in ("remove", "up", "down"):
        place, _, number = at.partition(".")
        return _shifted(fields, place, int(number) if number.isdecimal() and len(number) < 3 else None, do)
    if do in ("with", "without"):
        entry, _, limit = at.rpartition(".")
        kept = tuple(each for each in fields.get(f"{entry}.with", ()) if each != limit)
        return {**fields, f"{entry}.with": (*kept, limit) if do == "with" else kept}
    if do == "span":
        free = next(place for place in itertools.count() if f"{at}.{place}.first" not in fields)
        return {**fields, f"{at}.{free}.first": ("",), f"{at}.{free}.last": ("",)}
    return dict(fields)


def blank_at(fields: Fields, path: str) -> str:
    """The field, or the rule, that the API means by `earn.0.match.names.1`; the path itself where none fits."""
    for place in PLACES:
        for at, form in entries(fields, place.name):
            if path == at or path.startswith(f"{at}."):
                return next((each for blank in form.all_blanks if (each := _inside(blank, at, path))), at)
    return path


def _inside(blank: Blank, at: str, path: str) -> str | None:
    """The field of a blank that the path is of; of a span of days it is one of its ends."""
    name = f"{at}.{blank.path}"
    if blank.kind == "spans" and path.startswith(f"{name}."):
        return path if path.endswith((".first", ".last")) else f"{path}.last"
    return name if path == name or path.startswith(f"{name}.") else None


def _entry(form: RuleForm, rule: Mapping[str, Any], place: RulePlace, s: Speech) -> dict[str, tuple[str, ...]]:
    fields: dict[str, tuple[str, ...]] = {"form": (form.key,)}
    if place.has_keys:
        fields["key"] = (rule["key"],)
    for blank in form.all_blanks:
        fields |= {f"{blank.path}{end}": each for end, each in written(blank, _value(rule, blank), s).items()}
    shown = [
        limit.key
        for limit in form.limits
        if any(written(blank, _value(rule, blank), s) for blank in limit.blanks)
        or (limit.means is not None and rule.get(limit.means[0]) == limit.means[1])
    ]
    return fields | ({"with": tuple(shown)} if shown else {})


def _value(rule: Mapping[str, Any], blank: Blank) -> Any:
    value = value_at(rule, blank.path)
    # No least bill is how the API says that there is no such condition.
    return None if value == 0 and blank.kind == "toman" else value


def _rule(form: RuleForm, fields: Fields, at: str, place: RulePlace, s: Speech, faults: Faults) -> dict[str, Any]:
    rule: dict[str, Any] = dict(form.fixed)
    if place.has_keys:
        rule["key"] = (fields.get(f"{at}.key") or ("",))[0]
    for blank in form.blanks:
        if not _put(rule, blank, fields, at, s, faults):
            faults.setdefault(f"{at}.{blank.path}", "needed")
    for limit in form.limits:
        if limit.key in fields.get(f"{at}.with", ()):
            if limit.means is not None:
                rule[limit.means[0]] = limit.means[1]
            filled = [_put(rule, blank, fields, at, s, faults) for blank in limit.blanks]
            if limit.blanks and not any(filled):
                faults.setdefault(f"{at}.{limit.blanks[0].path}", "empty")
    return rule


def _put(rule: dict[str, Any], blank: Blank, fields: Fields, at: str, s: Speech, faults: Faults) -> bool:
    """Puts what stands in the blank into the rule; whether anything did."""
    name = f"{at}.{blank.path}"
    try:
        value = read(blank, fields, name, s)
    except Wrong as wrong:
        faults[f"{name}{wrong.at}"] = wrong.fault
        return True
    if value is None:
        return False
    *outer, last = blank.path.split(".")
    inside = rule
    for step in outer:
        inside = inside.setdefault(step, {})
    inside[last] = value
    return True


def _added(fields: Fields, form: RuleForm) -> dict[str, tuple[str, ...]]:
    there, place = entries(fields, form.place), _PLACE[form.place]
    if place.how_many == "always" or len(there) >= (MOST_RULES if place.how_many == "many" else 1):
        return dict(fields)
    at = f"{form.place}.{len(there)}" if place.how_many == "many" else form.place
    new: dict[str, tuple[str, ...]] = {f"{at}.form": (form.key,)}
    if place.has_keys:
        new[f"{at}.key"] = (_free_key(fields, form.key),)
    return {**fields, **new}


def _free_key(fields: Fields, name: str) -> str:
    taken = {each for field, values in fields.items() if field.endswith((".key", ".on", "gone")) for each in values}
    return next(key for number in itertools.count(1) if (key := f"{name}_{number}") not in taken)


def _shifted(fields: Fields, place: str, number: int | None, do: str) -> dict[str, tuple[str, ...]]:
    """The fields with one rule less, or with two of them in the other order."""
    if place not in _PLACE:
        return dict(fields)
    if _PLACE[place].how_many == "one":
        return {name: each for name, each in fields.items() if name != place and not name.startswith(f"{place}.")}
    order = list(range(len(entries(fields, place))))
    if number is None or number not in order:
        return dict(fields)
    if do == "remove":
        order.remove(number)
    else:
        other = number - 1 if do == "up" else number + 1
        if other not in order:
            return dict(fields)
        order[number], order[other] = order[other], order[number]
    kept = {name: each for name, each in fields.items() if not name.startswith(f"{place}.")}
    if do == "remove":
        # A key that bills have earned by is never given to another rule.
        kept["gone"] = (*fields.get("gone", ()), *fields.get(f"{place}.{number}.key", ()))
    return kept | dict(_renumbered(fields, place, order))


def _renumbered(fields: Fields, place: str, order: list[int]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for new, old in enumerate(order):
        for name, each in fields.items():
            if name.startswith(f"{place}.{old}."):
                yield f"{place}.{new}.{name.removeprefix(f'{place}.{old}.')}", each
