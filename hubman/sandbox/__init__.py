"""A local Civitai with the site's wire contract, on loopback: for rehearsals, the demo and the tests.

Importing it loads a web server: import it where one is started.
"""

from hubman.sandbox.faults.rules import Rule
from hubman.sandbox.seed import Seeded, seed_model
from hubman.sandbox.server import Sandbox
from hubman.sandbox.settings import Fault, Settings

__all__ = ["Fault", "Rule", "Sandbox", "Seeded", "Settings", "seed_model"]
