"""`python -m services.console.api`"""

from services.console.api.app import make_app
from shared.web.serving import run

if __name__ == "__main__":
    run(make_app(), "console")
