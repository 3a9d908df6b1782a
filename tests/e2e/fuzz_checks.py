"""What a document can't say: rules that look at several fields, at the clock, or at what is guessed first."""

import schemathesis
from schemathesis.checks import CHECKS

# Codes of refusals that no JSON Schema can foretell. Anything else that the document allows must be taken.
BEYOND = {
    *("expires_in_the_past", "weak_password", "phone", "login", "ambiguous_login", "free_value", "unstorable"),
    *("amount_without_unit", "tiers_not_ascending", "target", "discount_above_total", "points_without_guest"),
    *("items_shape", "too_early", "in_the_future", "control_character", "reserved_device", "blank", "moment"),
    *("unknown_guest", "too_large", "string_too_short", "invalid_criteria", "delay_too_long", "date_passed"),
    *("foreign_endpoint", "decimal_max_places", "decimal_max_digits", "decimal_whole_digits"),
    # Of the till's contract, whose schema only grows: how exactly numbers are written.
    *("two_decimals", "exact_number", "quantity", "negative", "int_type", "cost_per_sms:missing"),
}
_taken = CHECKS.get_one("positive_data_acceptance")


@schemathesis.check
def what_the_document_allows_is_taken(ctx, response, case):  # type: ignore[no-untyped-def]
    """The check of that name, unless a rule beyond the document speaks."""
    if response.status_code == 422:
        said = response.json()
        faults = [{fault["code"], f"{fault['field']}:{fault['code']}"} for fault in said.get("errors", ())]
        if said["code"] in BEYOND or (faults and all(fault & BEYOND for fault in faults)):
            return None
    return _taken(ctx, response, case)
