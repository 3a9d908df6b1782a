"""What a document can't say: rules that look at several fields, at the clock, or at what is guessed first."""

import schemathesis
from schemathesis.checks import CHECKS

# Codes of refusals that no JSON Schema can foretell. Anything else that the document allows must be taken.
BEYOND = {
    # Several fields, or words, looked at together.
    *("amount_without_unit", "tiers_not_ascending", "target", "discount_above_total", "points_without_guest"),
    *("items_shape", "asked_without_answer", "ends_before_it_begins", "rules.tiers:too_short", "invalid_template"),
    *("too_long",),
    *("invalid_criteria", "of_the_installation", "cost_per_sms:missing", "cost_per_sms:less_than_equal"),
    *("whole_toman", "earn_per_twice", "not_of_this_journey", "twice", "table_without_number"),
    *("no_bookmark", "reason_without_status", "points_or_reward", "value_of_discounts", "days_without_limit"),
    *("never_matches", "never_empty", "gives_nothing"),
    *("days_and_kind", "after_and_kind", "expiry_twice"),
    # The clock, and what is there already.
    *("expires_in_the_past", "date_passed", "delay_too_long", "too_early", "in_the_future", "unknown_guest"),
    # What is easily guessed, misread or abused.
    *("weak_password", "ambiguous_login", "login", "phone", "not_a_mobile", "foreign_endpoint", "string_too_short"),
    # What no database keeps, and numbers that are written too finely.
    *("free_value", "unstorable", "too_large", "decimal_max_places", "decimal_max_digits", "decimal_whole_digits"),
    # The till's contract, whose schema only grows.
    *("control_character", "reserved_device", "blank", "moment", "two_decimals", "exact_number", "quantity"),
    *("negative", "int_type", "visit_id:uuid_parsing"),
}
# Tills may send blanks where nothing is meant, and in a batch each bill has its own answer.
LENIENT = ("/visits", "/visits/batch", "/visits/corrections", "/cafes/{cafe_id}/visits")
_taken = CHECKS.get_one("positive_data_acceptance")
_refused = CHECKS.get_one("negative_data_rejection")


@schemathesis.check
def what_the_document_allows_is_taken(ctx, response, case):  # type: ignore[no-untyped-def]
    """The check of that name, unless a rule beyond the document speaks."""
    if response.status_code == 422:
        said = response.json()
        faults = [{fault["code"], f"{fault['field']}:{fault['code']}"} for fault in said.get("errors", ())]
        if said["code"] in BEYOND or (faults and all(fault & BEYOND for fault in faults)):
            return None
    return _taken(ctx, response, case)


@schemathesis.check
def what_the_document_forbids_is_refused(ctx, response, case):  # type: ignore[no-untyped-def]
    """The check of that name, but for what tills may send."""
    return None if case.operation.path in LENIENT else _refused(ctx, response, case)
