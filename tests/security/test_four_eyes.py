"""Every way to points, money or messages, and the rule that covers it. A route that is new joins the table."""

import importlib
import warnings

from fastapi import FastAPI
from starlette.routing import BaseRoute

from shared.services import WITH_DATABASE

# What a person of a cafe can't do alone beyond the cafe's approval policy (shared/security/approval.py).
DAY = "four eyes: summed with what its author did alone on that day of the cafe"
SECOND = "four eyes: without bound, or a message to guests, so another person approves it"
ANSWER = "the second person's answer: never the author's own while somebody else could give it"
OWNER = "four eyes: owners only, leaves a trace, and what weakens waits for the other owner where there is one"
# What needs no second person, and why.
WAITS = "prepares what another route lets pass"
TILL = "a till's own: signed with its key, which owners alone make and the list of keys shows"
SPENDS = "spends what the guest has, bounded by the balance, under its author's name; gives nothing"
OFFERS = "says what points buy, each version under its author's name; who has it pays with points that a rule gave"
VOUCHER = "what the bills of a guest have earned, once, under its author's name; gives nothing"
BROUGHT = "gives by the published rule and only with a bill of the guest who was brought; each once, so many a month"
RESERVED = "releases what is only reserved, and what time releases anyway; a guest gains nothing by it"
COST = "owners only: what messages cost and how many go out at most"
GUEST = "the guest's own word"
STOPS = "only stops or takes away"
NONE = "no points, money or messages"

RULES = {
    "identity": {
        "POST /sessions": NONE,
        "POST /sessions/renew": NONE,
        "DELETE /sessions": STOPS,
        "DELETE /sessions/current": STOPS,
        "DELETE /sessions/{session_id}": STOPS,
        "POST /password-resets/use": NONE,
        "POST /invitations/read": NONE,
        "POST /invitations/accept": "what was invited to, while its author may still invite",
        "PUT /me/password": NONE,
        "POST /cafes": NONE,
        "PATCH /cafes/{cafe_id}": "not the policy; the time zone, by which a day ends, only by owners",
        "PUT /cafes/{cafe_id}/approval-policy": OWNER,
        "POST /cafes/{cafe_id}/approval-policy/changes/{change_id}/decision": OWNER,
        "POST /cafes/{cafe_id}/branches": NONE,
        "PATCH /cafes/{cafe_id}/branches/{branch_id}": NONE,
        "POST /cafes/{cafe_id}/invitations": "nobody invites managers but owners: they choose who approves",
        "POST /cafes/{cafe_id}/invitations/{invitation_id}/renewal": "as inviting",
        "DELETE /cafes/{cafe_id}/invitations/{invitation_id}": STOPS,
        "POST /cafes/{cafe_id}/members/{user_id}/password-reset": "only for who ranks below the one who asks",
        "PUT /cafes/{cafe_id}/members/{user_id}/role": "nobody makes managers but owners",
        "DELETE /cafes/{cafe_id}/members/{user_id}": "nobody removes managers but owners",
        "POST /cafes/{cafe_id}/api-keys": TILL,
        "DELETE /cafes/{cafe_id}/api-keys/{key_id}": STOPS,
    },
    "customer": {
        "POST /cafes/{cafe_id}/customers": NONE,
        "POST /cafes/{cafe_id}/customers/search": NONE,
        "POST /cafes/{cafe_id}/customers/cards": NONE,
        "POST /cafes/{cafe_id}/customers/list": NONE,
        "POST /cafes/{cafe_id}/customers/{customer_id}/phone": NONE,
        "PATCH /cafes/{cafe_id}/customers/{customer_id}": NONE,
        "DELETE /cafes/{cafe_id}/customers/{customer_id}": STOPS,
        "PUT /cafes/{cafe_id}/customers/{customer_id}/status": NONE,
        "PUT /cafes/{cafe_id}/customers/{customer_id}/consents": "the guest's word, under the name of who wrote it",
        "PUT /guest/consents": "the guest's own word, by the link to the guest's own page",
        "POST /cafes/{cafe_id}/segments": WAITS,
        "POST /cafes/{cafe_id}/segments/preview": NONE,
        "PATCH /cafes/{cafe_id}/segments/{segment_id}": WAITS,
        "DELETE /cafes/{cafe_id}/segments/{segment_id}": STOPS,
    },
    "visit": {
        "POST /visits": TILL,
        "POST /visits/batch": TILL,
        "POST /visits/corrections": TILL,
        "POST /visits/voids": TILL,
        "POST /cafes/{cafe_id}/visits": DAY,
        "POST /cafes/{cafe_id}/visits/{visit_id}/void": DAY,
        "POST /cafes/{cafe_id}/visits/{visit_id}/claim": DAY,
        "POST /cafes/{cafe_id}/entries/{entry_id}/decision": ANSWER,
    },
    "loyalty": {
        "POST /cafes/{cafe_id}/customers/{customer_id}/adjustments": DAY,
        "POST /cafes/{cafe_id}/redemptions/{redemption_id}/reversal": DAY,
        "POST /cafes/{cafe_id}/adjustments/{adjustment_id}/decision": ANSWER,
        "POST /cafes/{cafe_id}/redemptions/quote": NONE,
        "POST /cafes/{cafe_id}/customers/{customer_id}/quotes": NONE,
        "POST /cafes/{cafe_id}/programs": SECOND,
        "POST /cafes/{cafe_id}/programs/proposals/{proposal_id}/decision": ANSWER,
        "POST /cafes/{cafe_id}/programs/rehearsals": NONE,
        "POST /cafes/{cafe_id}/redemptions": SPENDS,
        "POST /cafes/{cafe_id}/redemptions/{redemption_id}/cancel": RESERVED,
        "POST /redemptions": SPENDS,
        "POST /redemptions/{redemption_id}/cancel": RESERVED,
        "POST /cafes/{cafe_id}/rewards": OFFERS,
        "PATCH /cafes/{cafe_id}/rewards/{reward_id}": OFFERS,
        "POST /loyalty/lookup": NONE,
        "POST /cafes/{cafe_id}/bonuses/preview": NONE,
        "POST /cafes/{cafe_id}/bonuses": DAY,
        "POST /cafes/{cafe_id}/openings": DAY,
        "POST /cafes/{cafe_id}/grant-runs/{run_id}/decision": ANSWER,
        "POST /loyalty/referrals": BROUGHT,
        "POST /cafes/{cafe_id}/referrals": BROUGHT,
        "POST /loyalty/quotes": NONE,
        "POST /loyalty/cards": NONE,
        "POST /vouchers/{voucher_id}/use": VOUCHER,
        "POST /vouchers/{voucher_id}/take-back": VOUCHER,
        "POST /cafes/{cafe_id}/vouchers/{voucher_id}/use": VOUCHER,
        "POST /cafes/{cafe_id}/vouchers/{voucher_id}/take-back": VOUCHER,
    },
    "campaign": {
        "PATCH /cafes/{cafe_id}/journeys/{journey_id}": SECOND,
        "POST /cafes/{cafe_id}/journeys/{journey_id}/versions/{version}/decision": ANSWER,
        "POST /cafes/{cafe_id}/texts/preview": NONE,
        "POST /cafes/{cafe_id}/templates": WAITS,
        "PUT /cafes/{cafe_id}/templates/{template_id}": WAITS,
        "DELETE /cafes/{cafe_id}/templates/{template_id}": STOPS,
        "POST /cafes/{cafe_id}/campaigns": WAITS,
        "PUT /cafes/{cafe_id}/campaigns/{campaign_id}": WAITS,
        "POST /cafes/{cafe_id}/campaigns/{campaign_id}/schedule": SECOND,
        "POST /cafes/{cafe_id}/campaigns/{campaign_id}/approve": ANSWER,
        "POST /cafes/{cafe_id}/campaigns/{campaign_id}/cancel": STOPS,
        "POST /cafes/{cafe_id}/campaigns/{campaign_id}/preview": NONE,
        "POST /cafes/{cafe_id}/campaigns/preview": NONE,
        "POST /cafes/{cafe_id}/campaigns/{campaign_id}/pause": STOPS,
        "POST /cafes/{cafe_id}/campaigns/{campaign_id}/resume": "only goes on with what was approved, unchanged",
        "POST /cafes/{cafe_id}/campaigns/{campaign_id}/test": "to a number of whoever asks, ten times a day",
        "POST /cafes/{cafe_id}/replies/{reply_id}/settlement": STOPS,
        "POST /cafes/{cafe_id}/providers": COST,
        "PUT /cafes/{cafe_id}/providers/{provider_id}": COST,
        "PUT /cafes/{cafe_id}/messaging": COST,
        "PUT /cafes/{cafe_id}/duty": COST,
        "POST /providers/kavenegar/receipts": "the provider's own, with its token",
        "POST /providers/kavenegar/replies": GUEST,
    },
    "feedback": {
        "POST /api/feedback/{token}": GUEST,
        "POST /cafes/{cafe_id}/feedback": NONE,
        "PUT /cafes/{cafe_id}/feedback/{feedback_id}/response": NONE,
        "POST /cafes/{cafe_id}/cases/{case_id}/close": NONE,
        "POST /cafes/{cafe_id}/feedback-points": NONE,
        "DELETE /cafes/{cafe_id}/feedback-points/{code}": STOPS,
    },
}


def routes_that_write(app: FastAPI) -> set[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        paths = app.openapi()["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods if method != "get"}


def test_every_route_that_writes_says_which_rule_covers_it() -> None:
    for service in WITH_DATABASE:
        app = importlib.import_module(f"services.{service}.api.app").make_app()
        found = routes_that_write(app)
        assert sorted(found - set(RULES[service])) == [], "say in RULES which rule covers these"
        assert sorted(set(RULES[service]) - found) == [], "these are gone"


def test_no_route_that_writes_hides_from_the_table() -> None:
    """A route outside of the documents would not be asked for its rule."""

    def writes(route: BaseRoute) -> bool:
        methods = getattr(route, "methods", None) or set()
        return bool(methods - {"GET", "HEAD", "OPTIONS"}) and not getattr(route, "include_in_schema", True)

    for service in WITH_DATABASE:
        app = importlib.import_module(f"services.{service}.api.app").make_app()
        assert [getattr(route, "path", "") for route in app.routes if writes(route)] == []


def test_each_service_where_something_waits_lists_it_the_same_way() -> None:
    for service in ("identity", "visit", "loyalty", "campaign"):
        app = importlib.import_module(f"services.{service}.api.app").make_app()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = app.openapi()["paths"]["/cafes/{cafe_id}/approvals"]["get"]["responses"]["200"]
        assert answer["content"]["application/json"]["schema"]["items"] == {"$ref": "#/components/schemas/Waiting"}
