import random, time, pytest
from shared.settings import SERVICES
from tests.chaos import poison
from tests.support import Databases
@pytest.mark.parametrize("service",[s for s in SERVICES if s!="identity"])
async def test_feed(service, database):
    t=time.time()
    e=await poison.feed(service, await database(service), random.Random(1))
    print(service, e, e.reasons, time.time()-t)
