"""`python -m services.visit.api`"""

from services.visit.api.app import make_app
from shared.web.serving import run

if __name__ == "__main__":
    run(make_app(), "visit")
