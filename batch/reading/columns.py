"""Which column of a roster holds what: told by the headings, checked against what stands below them.

Where two columns could be meant, or a name would lose a part, the answer is a question. It holds a suggestion, so that
a preview can show what would come of it, but nothing is imported before somebody has answered.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from openpyxl.utils import get_column_letter

from batch.reading import headings, names
from batch.reading.headings import NAME_PARTS, Meaning
from batch.reading.sheets import WorkbookUnreadable
from likeness.locale.marks import Told

# So many rows are looked at to tell what a column holds.
LOOKED_AT = 2_000
SAMPLES = 3
ADDRESS = re.compile(r"[^@\s]@[^@\s]")
# Headings that often count the lines of a list.
COUNTERS = frozenset(
    headings.folded(name) for name in ("No", "Nr", "N", "Num", "Number", "Nummer", "番号", "编号", "번호")
)
FIRST_NAMES, LAST_NAMES = Told("first names"), Told("last names")
PARTS = {
    "given_name": FIRST_NAMES,
    "middle_name": Told("middle names"),
    "name_particle": Told("prefixes of last names"),
    "family_name": LAST_NAMES,
    "second_family_name": Told("second last names"),
}
OPTIONAL = {"department": Told("departments"), "site": Told("sites"), "language": Told("languages")}
NAMES = ("full_name", "full_name_reversed", *NAME_PARTS)


@dataclass(frozen=True)
class LabelQuestion:
    """What only a person can tell: which of `labels` holds `field`. `suggested` is empty where nothing is likely."""

    field: str
    message: str
    labels: tuple[str, ...]
    suggested: str = ""


@dataclass
class Column:
    """`label` names the column without doubt: its heading, with its letter where two are alike or none is there."""

    at: int
    heading: str
    label: str
    said: Meaning | None
    values: list[str]
    """The first cells below, the empty ones too."""

    @property
    def filled(self) -> list[str]:
        return [value for value in self.values if value]

    def share(self, test: re.Pattern[str]) -> float:
        filled = self.filled
        return sum(bool(test.search(value)) for value in filled) / len(filled) if filled else 0.0

    @property
    def samples(self) -> list[str]:
        return list(islice(dict.fromkeys(value[:60] for value in self.filled), SAMPLES))

    @property
    def letter(self) -> str:
        return get_column_letter(self.at + 1)


@dataclass
class Choice:
    at: dict[str, int]
    questions: list[LabelQuestion] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    order: str = ""


def columns_of(heads: Sequence[str], below: Sequence[Sequence[str]]) -> list[Column]:
    """Columns with a heading or with something below, in the order of the file."""
    width = max((len(heads), *(len(line) for line in below[:LOOKED_AT])))
    texts = [heads[at] if at < len(heads) else "" for at in range(width)]
    found = []
    for at, heading in enumerate(texts):
        values = [line[at].strip() if at < len(line) else "" for line in below[:LOOKED_AT]]
        alike = not heading or texts.count(heading) > 1
        letter = Told("column {letter}", letter=get_column_letter(at + 1))
        label = (Told("{heading} ({column})", heading=heading, column=letter) if heading else letter) if alike else heading
        if heading or any(values):
            found.append(Column(at, heading, label, headings.meaning(heading) if heading else None, values))
    return found


def choose(columns: list[Column], wished: Mapping[str, str]) -> Choice:
    """Field → column. What the caller wished comes first: a label, a heading, "column C", or "" for no column."""
    return _Choosing(columns, wished).choice


class _Choosing:
    def __init__(self, columns: list[Column], wished: Mapping[str, str]) -> None:
        self.columns, self.wished = columns, wished
        self.choice = Choice({}, order=names.order_of([headings.folded(one.heading) for one in columns]))
        self.taken: set[int] = set()
        for name, label in wished.items():
            if name not in headings.CHOICES:
                raise WorkbookUnreadable(Told("“{name}” is nothing that a column can hold.", name=name[:40]))
            if label:
                self._take(name, self._named(label))
        self._email()
        self._manager()
        self._names()
        self._number()
        for name in ("department", "site", "language"):
            if name not in wished:
                self._optional(name)

    def _named(self, wanted: str) -> Column:
        for match in (
            [one for one in self.columns if one.label == wanted],
            [one for one in self.columns if wanted == f"column {one.letter}"],
            [one for one in self.columns if one.heading and headings.folded(one.heading) == headings.folded(wanted)],
        ):
            if match:
                return match[0]
        raise WorkbookUnreadable(Told("The file has no column “{name}”.", name=wanted[:60]))

    def _take(self, name: str, column: Column) -> None:
        if column.at in self.taken:
            raise WorkbookUnreadable(Told("The column “{name}” is chosen for two things. Choose it"
                                          " once.", name=column.label[:60]))
        self.choice.at[name] = column.at
        self.taken.add(column.at)

    def _ask(self, name: str, message: str, columns: Sequence[Column], suggested: Column | None = None) -> None:
        labels = tuple(one.label for one in columns)
        self.choice.questions.append(LabelQuestion(name, message, labels, suggested.label if suggested else ""))

    def _said(self, name: str) -> list[Column]:
        return [one for one in self.columns if one.at not in self.taken and one.said and one.said.field == name]

    def _best(self, name: str, what: str, candidates: list[Column] | None = None, *, ask: bool = True) -> Column | None:
        """The column that says it most clearly; with several as clear, a question and the first."""
        found = self._said(name) if candidates is None else candidates
        found = [one for one in found if one.filled] or found
        if not found:
            return None
        rank = max(_rank(one) for one in found)
        best = [one for one in found if _rank(one) == rank]
        rest = [one for one in best[1:] if one.values != best[0].values]
        if rest and ask:
            self._ask(name, Told("Several columns could hold the {what}:"
                                 " {columns}.", what=what, columns=_listed(best)), best, best[0])
        elif rest:
            found_in = Told("Several columns could hold the {what}: {columns}.", what=what, columns=_listed(best))
            self.choice.notes.append(found_in.then(Told("The first was taken.")))
        return best[0]

    def _email(self) -> None:
        if "email" in self.wished:
            return
        best = self._best("email", Told("e-mail addresses"))
        if best is not None:
            if best.said and best.said.whose == "private":
                self.choice.notes.append(
                    Told("The only column with addresses is “{name}”. Invitations would go to private addresses.",
                         name=best.label)
                )
            self._take("email", best)
            return
        like = [one for one in self.columns if not one.said and one.share(ADDRESS) > 0.6 and one.at not in self.taken]
        message = Told("No heading says which column holds the e-mail addresses.")
        if like:
            self._take("email", like[0])
        self._ask("email", message, like or self._free(), like[0] if like else None)

    def _manager(self) -> None:
        if "manager_email" in self.wished:
            return
        found = self._said("manager_email")
        holding = [one for one in found if one.share(ADDRESS) > 0.5]
        # A manager's name is no address: without one the column is left alone, unless its heading promises addresses.
        best = self._best("manager_email", Told("managers' addresses"), holding or [one for one in found if _rank(one) > 1])
        if best is not None:
            self._take("manager_email", best)

    def _names(self) -> None:
        chosen = [name for name in NAMES if self.wished.get(name)]
        whole = [name for name in chosen if name.startswith("full_name")]
        if whole and len(chosen) > 1:
            raise WorkbookUnreadable(Told("Choose either one column for the full name, or columns for its parts."))
        if whole:
            return
        parts = {name: self._part(name) for name in NAME_PARTS}
        bare = self._bare(parts)
        self._complete(parts, bare)
        given, family = parts["given_name"], parts["family_name"]
        if given is not None and family is not None:
            self._compare(parts)
            self._take_parts(parts)
        elif chosen:
            self._take_parts(parts)
        elif (one := self._whole(bare)) is not None:
            self._take_whole(one)
        elif given is not None or family is not None:
            self._take_parts(parts)
            missing, words = ("family_name", LAST_NAMES) if family is None else ("given_name", FIRST_NAMES)
            if missing not in self.wished:
                self._ask(missing, Told("No heading says which column holds the {what}.", what=words), self._free())
        elif "full_name" not in self.wished:
            like = [one for one in self._free() if _like_names(one)]
            message = Told("No heading says which column holds the names.")
            self._ask("full_name", message, like or self._free(), like[0] if like else None)
            if like:
                self._take("full_name_reversed" if _last_first(like[0]) else "full_name", like[0])

    def _complete(self, parts: dict[str, Column | None], bare: Column | None) -> None:
        """What is just called "Name" is the last name beside a first name, and the first name beside a last name."""
        for there, missing in (("given_name", "family_name"), ("family_name", "given_name")):
            half = parts[there]
            if half is not None and parts[missing] is None and bare is not None and missing not in self.wished:
                parts[missing] = None if _holding(bare, half) else bare
                return

    def _part(self, name: str) -> Column | None:
        if self.wished.get(name):
            return self._named(self.wished[name])
        return None if name in self.wished else self._best(name, PARTS[name])

    def _bare(self, parts: dict[str, Column | None]) -> Column | None:
        """A column that is just called "Name", which is the other half where one half stands beside it."""
        found = self._said("bare_name")
        if len(found) > 1 and not any(parts.values()):
            return self._best("bare_name", Told("names"), found, ask=False)
        return self._best("bare_name", Told("names"), found) if found else None

    def _take_parts(self, parts: dict[str, Column | None]) -> None:
        for name, column in parts.items():
            if column is not None and column.at not in self.taken:
                self._take(name, column)

    def _whole(self, bare: Column | None) -> Column | None:
        """The one column with whole names."""
        found = self._said("full_name")
        if "full_name" in self.wished or "full_name_reversed" in self.wished:
            return None
        somebody = [one for one in self._said("somebody") if _like_names(one)]
        clear = [one for one in found if _rank(one) > 2] or ([bare] if bare else []) or found or somebody
        others = [one for one in self._said("bare_name") if one is not bare]
        best = self._best("full_name", Told("names"), [*clear, *(others if bare in clear else [])])
        rest = [bare] if bare is not None and best is not bare else []
        for other in rest:
            if best is not None and _apart([best], other) > 0.1 and _apart([other], best) > 0.1:
                self._ask("full_name", Told("Several columns could hold the {what}: {columns}.", what=Told("names"),
                                            columns=_listed([best, other])), [best, other], best)  # fmt: skip
        return best

    def _take_whole(self, column: Column) -> None:
        with_comma = [value for value in column.filled if names.has_last_first(value)]
        if headings.reversed_name(column.heading) and with_comma:
            self._take("full_name_reversed", column)
        elif _last_first(column):
            self._take("full_name_reversed", column)
            self._ask("full_name", Told("In “{name}” names have a comma: “{example}”. Is the last name the first one?",
                                        name=column.label, example=with_comma[0][:60]), [column], column)  # fmt: skip
        else:
            self._take("full_name", column)

    def _compare(self, parts: dict[str, Column | None]) -> None:
        """A whole name beside its parts that says more than they do, such as a second last name, is a question."""
        if any(self.wished.get(name) for name in NAMES):
            return
        used = [column for column in parts.values() if column is not None]
        for whole in (*self._said("full_name"), *self._said("bare_name")):
            # What somebody is called, or how a program shows them, is no rival of first and last name.
            if whole not in used and _rank(whole) > 2 and _apart(used, whole) > 0.1:
                best = parts["family_name"]
                self._ask("full_name", Told("“{name}” says more than {columns}. Which of them is the name?",
                                            name=whole.label, columns=_listed(used)), [whole, *used], best)  # fmt: skip
                return

    def _number(self) -> None:
        if "employee_key" in self.wished:
            return
        # A heading with a typing error is believed only above what may be numbers.
        found = [
            one
            for one in self._said("employee_key")
            if not _counts_lines(one) and (_rank(one) > 1 or one.share(re.compile(r"\d")) > 0.5)
        ]
        somebody = [one for one in self._said("somebody") if one.filled and one.share(re.compile(r"\d")) > 0.8]
        best = self._best("employee_key", Told("employee numbers"), found or somebody)
        if best is None:
            return
        if _rank(best) < 3 and len(set(best.filled)) < len(best.filled):
            self.choice.notes.append(Told("“{name}” is not used as employee number: several rows share"
                                          " one.", name=best.label))
            return
        self._take("employee_key", best)

    def _optional(self, name: str) -> None:
        best = self._best(name, OPTIONAL[name], ask=False)
        if best is not None:
            self._take(name, best)

    def _free(self) -> list[Column]:
        """Columns whose heading says nothing."""
        return [one for one in self.columns if one.at not in self.taken and not one.said]


def _rank(column: Column) -> int:
    return column.said.rank if column.said else 0


def _listed(columns: Sequence[Column]) -> str:
    return ", ".join(f"“{one.label}”" for one in columns)


def _like_names(column: Column) -> bool:
    """Mostly two words or more of letters, without digits."""
    filled = column.filled
    return bool(filled) and sum(map(_like_a_name, filled)) > 0.6 * len(filled)


def _like_a_name(text: str) -> bool:
    # In steps: one pattern for all of it takes minutes for a note of a thousand letters.
    words = [word for word in re.split(r"[\s,]", text) if re.search(r"[^\W\d_]", word)]
    return len(words) > 1 and not re.search(r"[\d@]", text)


def _last_first(column: Column) -> bool:
    """Most names have a comma in their middle."""
    return sum(names.has_last_first(value) for value in column.filled) > 0.6 * len(column.filled)


def _counts_lines(column: Column) -> bool:
    """1, 2, 3 … below "No." counts the lines of this list; somebody else is 3 in the next one."""
    numbers = [value for value in column.values if value]
    return headings.folded(column.heading) in COUNTERS and numbers == [str(at) for at in range(1, len(numbers) + 1)]


def _holding(bare: Column, part: Column) -> bool:
    """The column called "Name" holds whole names, of which the other column is a part."""
    both = [(whole, one) for whole, one in zip(bare.values, part.values, strict=True) if whole and one]
    return bool(both) and sum(names.holds(names.turned(whole), one) for whole, one in both) >= 0.6 * len(both)


def _apart(parts: list[Column], whole: Column) -> float:
    """In how many rows the whole name says something that its parts do not."""
    lines = [(" ".join(one.values[at] for one in parts), value) for at, value in enumerate(whole.values) if value]
    return sum(not names.same(joined, value) for joined, value in lines) / len(lines) if lines else 0.0
