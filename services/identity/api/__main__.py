"""`python -m services.identity.api`"""

from services.identity.api.app import make_app
from shared.web.serving import run

if __name__ == "__main__":
    run(make_app(), "identity")
