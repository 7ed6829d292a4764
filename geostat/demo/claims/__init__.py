"""The claims of the literature, asked of the laboratory's recorded runs: estimate, interval, verdict, controls.

`record` turns a study into fixtures; ``python -m geostat.demo.claims`` turns fixtures into the table of the docs.
"""

from geostat.demo.claims.asking import ask
from geostat.demo.claims.claim import Claim, Figure, read_claims, write_claims
from geostat.demo.claims.records import Records, read_records, write_records

__all__ = [
    "Claim",
    "Figure",
    "Records",
    "ask",
    "read_claims",
    "read_records",
    "write_claims",
    "write_records",
]
