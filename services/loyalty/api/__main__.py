"""`python -m services.loyalty.api`"""

from services.loyalty.api.app import make_app
from shared.web.serving import run

if __name__ == "__main__":
    run(make_app(), "loyalty")
