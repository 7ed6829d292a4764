"""Results that say what they are: a leaf writes `rows()`, every view derives from it."""

from geostat.results.base import Result, Row, Scope, Variable
from geostat.results.labelled import LabelledResult
from geostat.results.table import Column, Table, Text

__all__ = ["Column", "LabelledResult", "Result", "Row", "Scope", "Table", "Text", "Variable"]
