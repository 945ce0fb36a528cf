"""Which reader a file needs, by its content: the name may lie."""

from batch.reading import delimited, excel
from batch.reading.sheets import LARGEST_FILE, Book, WorkbookUnreadable
from likeness.locale.marks import Told


def open_book(data: bytes, encoding: str | None = None) -> Book:
    """`encoding` is for CSV files, one of `delimited.ENCODINGS`. Raises WorkbookUnreadable."""
    if not data.strip(b"\0 \t\r\n"):
        raise WorkbookUnreadable(Told("The file is empty."))
    if len(data) > LARGEST_FILE:
        raise WorkbookUnreadable(Told("The file is larger than {n} MB. Keep only the list of"
                                      " people.", n=LARGEST_FILE // 2**20))
    if data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        _refuse_ole(data)
    if data.startswith(b"PK"):
        return excel.Xlsx(data)
    if data.startswith((b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"{\\rtf", b"\x1f\x8b", b"7z")):
        raise WorkbookUnreadable(Told("This is not a workbook. Save the list as .xlsx or .csv."))
    return delimited.Csv(data, encoding)


def _refuse_ole(data: bytes) -> None:
    if "EncryptedPackage".encode("utf-16-le") in data:
        raise WorkbookUnreadable(Told("The workbook is protected by a password. Save a copy without one."))
    raise WorkbookUnreadable(Told("This is an old .xls file. Open it and save it as .xlsx."))
