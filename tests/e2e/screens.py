"""The scene for tests of the console in a browser, and the address of every screen that can be opened in it."""

from dataclasses import dataclass
from typing import Final

from deploy.demo import run as demo
from services.console.rules.report_range import SECTIONS

# `home`: the cafe. `guest`, `visit`, `rating` and `campaign`: those of the scene.
SCREENS: Final = (
    "/me",
    "/cafes",
    "/chain",
    "/chain/copy",
    "{home}/today",
    "{home}/board",
    "{home}/desk",
    "{home}/desk/new",
    "{home}/guests",
    "{home}/guests/{guest}",
    "{home}/guests/{guest}/redeem",
    "{home}/guests/{guest}/offers",
    "{home}/guests/{guest}/points",
    "{home}/guests/{guest}/edit",
    "{home}/guests/{guest}/forget",
    "{home}/visits",
    "{home}/visits/new",
    "{home}/visits/{visit}",
    "{home}/visits/{visit}/why",
    "{home}/guests/{guest}/why",
    "{home}/feedback",
    "{home}/feedback/cases",
    "{home}/feedback/{rating}",
    "{home}/messages",
    "{home}/messages/templates",
    "{home}/messages/templates/new",
    "{home}/messages/spend",
    "{home}/messages/replies",
    "{home}/settings/messages",
    "{home}/settings/sms",
    "{home}/club",
    "{home}/club/rules",
    "{home}/club/rules/new",
    "{home}/club/given",
    "{home}/club/lapsing",
    "{home}/club/refused",
    "{home}/club/rehearsals",
    "{home}/club/rewards",
    "{home}/club/rewards/new",
    "{home}/segments",
    "{home}/segments/new",
    "{home}/campaigns",
    "{home}/campaigns/new",
    "{home}/campaigns/{campaign}",
    "{home}/campaigns/{campaign}/recipients",
    "{home}/campaigns/{campaign}/text",
    "{home}/campaigns/{campaign}/time",
    "{home}/campaigns/{campaign}/review",
    "{home}/reports",
    *(f"{{home}}/reports/{each.key}" for each in SECTIONS[1:]),
    "{home}/approvals",
    "{home}/start",
    "{home}/help",
    "{home}/settings",
    "{home}/settings/people",
    "{home}/settings/tills",
    "{home}/settings/looks",
)


@dataclass(frozen=True)
class Scene:
    """A cafe with two guests, one of them unhappy, and somebody of each role. `people`: login and password by role."""

    base: str
    cafe: demo.DemoCafe
    people: dict[str, tuple[str, str]]
    number: str
    guest_id: str
    visit_id: str
    rating_id: str
    campaign_id: str

    @property
    def home(self) -> str:
        return f"/c/{self.cafe.cafe_id}"

    @property
    def screens(self) -> tuple[str, ...]:
        """The address of every screen."""
        known = {"home": self.home, "guest": self.guest_id, "visit": self.visit_id, "rating": self.rating_id}
        known["campaign"] = self.campaign_id
        return tuple(each.format(**known) for each in SCREENS)
