"""``python -m geostat.demo.claims FOLDER -o FILE``: recorded runs -> the tables and the picture of the docs."""

import argparse
import sys
from collections.abc import Sequence

from geostat.demo.claims.asking import ask
from geostat.demo.claims.claim import write_claims
from geostat.demo.claims.picture import draw_retained
from geostat.demo.claims.records import read_records
from geostat.errors import GeostatError

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Answer the claims.

    Parameters
    ----------
    arguments : sequence of str
        Of the command.

    Returns
    -------
    int
        Exit code: 2 where the call is wrong.
    """
    parser = argparse.ArgumentParser(
        prog="python -m geostat.demo.claims", description="Answer the literature's claims from recorded runs."
    )
    parser.add_argument("folder", help="recorded runs, as in fixtures/laboratory")
    parser.add_argument("-o", "--output", required=True, help="CSV file")
    parser.add_argument("-p", "--picture", help="SVG file, for what twins retain")
    asked = parser.parse_args(arguments)
    try:
        records = read_records(asked.folder)
        claims = ask(records)
        write_claims(claims, asked.output)
        if asked.picture and records.sufficiency is not None:
            draw_retained(records.sufficiency, asked.picture)
    except (GeostatError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    for claim in claims:
        print(f"{claim.verdict:13} {claim.statement}")
        if claim.control is not None:
            print(f"{'':13} against its controls: {claim.control}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
