"""A table of texts, from which the plain, HTML and LaTeX forms are written."""

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["DASH", "Column", "Row", "Table", "Text", "build_table", "escape_latex"]

DASH = "--"

Row = Mapping[str, Any]
"""One cell of a result: its labels, its numbers, its reason."""

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{MINUS SIGN}": r"$-$",
    "±": r"$\pm$",
    "°": r"$^\circ$",
    "\n": " ",
}


def escape_latex(text: str) -> str:
    r"""Text that LaTeX prints as it stands.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        The same with LaTeX's special characters escaped.

    Examples
    --------
    >>> escape_latex("50% of q_proj")
    '50\\% of q\\_proj'
    """
    return "".join(_LATEX.get(character, character) for character in text)


@dataclass(frozen=True)
class Text:
    """What one place of a table says, in plain text and in LaTeX.

    Attributes
    ----------
    plain : str
        As on a terminal.
    latex : str
        As in a paper; the escaped plain text when left empty.
    note : str
        Becomes a footnote.
    """

    plain: str
    latex: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        """Fill the LaTeX form."""
        if not self.latex:
            object.__setattr__(self, "latex", escape_latex(self.plain))


@dataclass(frozen=True)
class Column:
    """A column: its heading, and what it shows of a row.

    Attributes
    ----------
    title : str or Text
        Heading.
    show : callable
        Takes a row, returns a `Text`.
    number : bool
        Whether the column is aligned right.
    """

    title: str | Text
    show: Callable[[Row], Text]
    number: bool = True


@dataclass(frozen=True)
class Table:
    """Headings, cells and footnotes.

    Attributes
    ----------
    header : tuple of Text
        One heading per column.
    body : tuple of tuple of Text
        The cells, row by row.
    numeric : tuple of bool
        Which columns are aligned right.
    notes : tuple of str
        Footnotes; note i is marked by letter i.
    remarks : tuple of str
        Sentences below the footnotes.
    """

    header: tuple[Text, ...]
    body: tuple[tuple[Text, ...], ...]
    numeric: tuple[bool, ...]
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def mark(self, cell: Text) -> str:
        """Letter of a cell's footnote.

        Parameters
        ----------
        cell : Text
            A cell of this table.

        Returns
        -------
        str
            A letter, or nothing.
        """
        return _letter(self.notes.index(cell.note)) if cell.note in self.notes else ""

    def to_text(self, max_rows: int | None = None) -> str:
        """Write the table for a terminal.

        Parameters
        ----------
        max_rows : int, optional
            Rows shown at most; None shows all.

        Returns
        -------
        str
            Aligned columns, footnotes below.
        """
        shown = self.body if max_rows is None else self.body[:max_rows]
        grid = [[cell.plain for cell in self.header]]
        grid += [[cell.plain + _bracketed(self.mark(cell)) for cell in row] for row in shown]
        widths = [max(len(row[i]) for row in grid) for i in range(len(self.header))]
        lines = [_aligned(row, widths, self.numeric) for row in grid]
        lines.insert(1, "  ".join("-" * width for width in widths))
        if len(shown) < len(self.body):
            lines.append(f"... and {len(self.body) - len(shown)} more rows: see .to_frame()")
        lines += [f"[{_letter(i)}] {note}" for i, note in enumerate(self.notes)]
        return "\n".join([*lines, *self.remarks])

    def to_html(self, max_rows: int | None = None) -> str:
        """Write the table for a notebook.

        Parameters
        ----------
        max_rows : int, optional
            Rows shown at most; None shows all.

        Returns
        -------
        str
            A table element and its footnotes.
        """
        shown = self.body if max_rows is None else self.body[:max_rows]
        head = "".join(
            f'<th style="padding:.2em .8em">{html.escape(cell.plain)}</th>' for cell in self.header
        )
        rows = "".join(f"<tr>{''.join(self._html_cells(row))}</tr>" for row in shown)
        rest = [f"and {len(self.body) - len(shown)} more rows"] if len(shown) < len(self.body) else []
        notes = [f"<sup>{_letter(i)}</sup> {html.escape(note)}" for i, note in enumerate(self.notes)]
        below = [*rest, *notes, *(html.escape(remark) for remark in self.remarks)]
        small = f"<p><small>{'<br>'.join(below)}</small></p>" if below else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{small}"

    def _repr_html_(self) -> str:
        return self.to_html()

    def _html_cells(self, row: Sequence[Text]) -> Iterable[str]:
        for cell, numeric in zip(row, self.numeric, strict=True):
            style = (
                ' style="text-align:right;padding:.2em .8em"'
                if numeric
                else ' style="text-align:left;padding:.2em .8em"'
            )
            mark = f"<sup>{self.mark(cell)}</sup>" if self.mark(cell) else ""
            yield f"<td{style}>{html.escape(cell.plain)}{mark}</td>"

    def to_latex(self, *, caption: str = "", label: str = "", standalone: bool = False) -> str:
        r"""Write the table for a paper, in booktabs style.

        Parameters
        ----------
        caption : str
            Plain text, escaped here.
        label : str
            For ``\ref``.
        standalone : bool
            Whether to wrap it in a document that compiles by itself.

        Returns
        -------
        str
            A ``table`` environment that shrinks to the line where it is wider; the preamble needs
            ``\usepackage{booktabs,graphicx}``.
        """
        lines = [r"\begin{table}[tb]", r"\centering", r"\small", r"\setlength{\tabcolsep}{4pt}"]
        lines += [rf"\caption{{{escape_latex(caption)}}}"] if caption else []
        lines += [rf"\label{{{label}}}"] if label else []
        lines += [r"\sbox0{%", *self._latex_tabular(), "}%", _FIT, *self._latex_notes(), r"\end{table}"]
        text = "\n".join(lines) + "\n"
        return _DOCUMENT % text if standalone else text

    def _latex_tabular(self) -> list[str]:
        spec, ragged = "".join("r" if numeric else "l" for numeric in self.numeric), "{}"
        if any(len(row[0].plain) > _LONG for row in self.body) and not self.numeric[0]:
            spec = rf"p{{{_WRAPPED}\linewidth}}" + spec[1:]
            ragged = r"\raggedright "
        rows = [ragged + " & ".join(cell.latex + self._latex_mark(cell) for cell in row) for row in self.body]
        return [
            rf"\begin{{tabular}}{{@{{}}{spec}@{{}}}}",
            r"\toprule",
            "{}" + " & ".join(cell.latex for cell in self.header) + r" \tabularnewline",
            r"\midrule",
            *(row + r" \tabularnewline" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
        ]

    def _latex_mark(self, cell: Text) -> str:
        return rf"\textsuperscript{{{self.mark(cell)}}}" if self.mark(cell) else ""

    def _latex_notes(self) -> list[str]:
        notes = [rf"\textsuperscript{{{_letter(i)}}}~{escape_latex(n)}" for i, n in enumerate(self.notes)]
        notes += [escape_latex(remark) for remark in self.remarks]
        body = "\\\\\n".join(notes)
        return (
            [r"\par\smallskip", rf"\parbox{{\linewidth}}{{\footnotesize\raggedright {body}}}"]
            if notes
            else []
        )


_LONG, _WRAPPED = 32, 0.3
"""A first column with longer texts (characters) is wrapped to this share of the line."""

_FIT = r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi"

_DOCUMENT = r"""\documentclass{article}
\usepackage{graphicx}
\IfFileExists{booktabs.sty}{\usepackage{booktabs}}{%%
  \newcommand{\toprule}{\hline}\newcommand{\midrule}{\hline}\newcommand{\bottomrule}{\hline}}
\begin{document}
%s\end{document}
"""


def build_table(rows: Sequence[Row], columns: Sequence[Column], remarks: Sequence[str] = ()) -> Table:
    """Lay rows out as a table and gather their footnotes.

    Parameters
    ----------
    rows : sequence of mapping
        What a result's `rows()` gives.
    columns : sequence of Column
        What is shown of them.
    remarks : sequence of str
        Sentences below the table.

    Returns
    -------
    Table
        Footnotes numbered in the order of their first use.
    """
    body = tuple(tuple(column.show(row) for column in columns) for row in rows)
    notes = dict.fromkeys(cell.note for row in body for cell in row if cell.note)
    header = tuple(c.title if isinstance(c.title, Text) else Text(c.title) for c in columns)
    return Table(header, body, tuple(c.number for c in columns), tuple(notes), tuple(remarks))


def _letter(index: int) -> str:
    return chr(ord("a") + index) if index < 26 else _letter(index // 26 - 1) + _letter(index % 26)


def _bracketed(mark: str) -> str:
    return f" [{mark}]" if mark else ""


def _aligned(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    parts = zip(cells, widths, numeric, strict=True)
    return "  ".join(c.rjust(w) if right else c.ljust(w) for c, w, right in parts).rstrip()
