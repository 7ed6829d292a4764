"""What each method of the gate null takes as given, and what it therefore cannot see."""

__all__ = ["ASSUMPTIONS", "CANNOT_SEE", "CONDITIONS_ON", "ESTIMAND", "METHODS"]

METHODS = {
    "law-free": "law-free gate null",
    "law": "gate null under laws of the update",
    "permutation": "gate null by permuting rows and columns of the unrounded update",
    "strata": "gate null within magnitudes of W_0",
}
"""Name by method."""

ESTIMAND = (
    "The figure that one matrix's stored pair shows, beside what an update that ignores W_0 gives once its small "
    "steps are lost in rounding."
)
"""What is asked."""

CONDITIONS_ON = {
    "law-free": "the stored magnitudes of W_0, and the sizes of steps in all binades, made one monotone curve",
    "law": "the stored magnitudes of W_0, and the observed density with the sizes of the visible steps",
    "law of shares": "the stored magnitudes of W_0, and the sizes of the visible steps",
    "permutation": "W_0 as it is, and the entries of the update up to the order of its rows and columns",
    "strata": "the stored magnitude of every entry of W_0, and how many entries of each magnitude changed",
}
"""Conditions by method."""

CANNOT_SEE = {
    "law-free": (
        "dependence on W_0 that leaves the sizes of steps in every binade as they are: on its signs, its singular "
        "vectors, its rows and columns; and dependence so weak that binades agree within their errors. Its mean is "
        "the survival curve nearest to all binades, which bends towards a dependence on magnitudes and is not held "
        "to the observed density: sign and p-value of an excess can be trusted, its size only to a factor of "
        "about three"
    ),
    "law": (
        "a wrong law from a dependence on W_0: the excess is right only as far as one of the laws is. A part of any "
        "dependence on magnitudes is taken up by the scale and by Student's degrees of freedom, and dependence on "
        "signs, singular vectors, rows and columns leaves no trace"
    ),
    "permutation": (
        "structure of the update that any order of its rows and columns keeps, such as its rank, its scale and "
        "its law; with few rows or columns little can be told at all"
    ),
    "strata": (
        "any dependence on the magnitudes of W_0, which it holds fixed: selectivity for small weights gives an "
        "excess of 0"
    ),
}
"""Blind spots by method."""

ASSUMPTIONS = {
    "law-free": ("Blocks of neighbouring rows, and of neighbouring columns, are independent of each other.",),
    "law": (
        "Entries of the update have one symmetric law, whatever the weight.",
        "Blocks of neighbouring rows, and of neighbouring columns, are independent of each other.",
    ),
    "permutation": ("Under the null the rows of the update are exchangeable, and so are its columns.",),
    "strata": ("Under the null visible entries of one magnitude are exchangeable.",),
}
"""Assumptions by method."""
