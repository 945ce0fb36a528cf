"""Archives that a company's directory takes: one picture of each person, named by their address, a list, and how to hand
both in. What needs no access to the directory is made here; somebody who administers it runs the last step.

A list is read by a program that acts on accounts, so nothing of it is ever a command: an address that no account of these
directories can have is left out and named in a file of its own. Names of files are made of harmless signs only, and the
script hands each value over as a value.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from batch.reading import workbook
from batch.sittings.headshots import Released

PRESET = "directory"
"""How pictures are cut for each of them: 648 px, which is the largest that Microsoft 365 shows, and at most 100 kB."""
FOLDER = "photos"
ADDRESS = re.compile(r"\w[\w.'!#^~+-]*@\w[\w.-]*")
"""What an account's name may be made of, in Entra ID and in Google Workspace, and no spreadsheet takes for a formula."""
ODD = re.compile(r"[^\w.@+-]")
LONGEST_STEM = 100
LEFT_OUT = "left-out.csv"


@dataclass(frozen=True)
class Directory:
    name: str
    columns: tuple[str, str]
    list_name: str
    encoding: str
    further: tuple[tuple[str, str], ...]
    """Files that are the same in every archive: their names and texts."""

    def files(self, given: Iterable[tuple[str, str]], left_out: Sequence[tuple[str, str]]) -> list[tuple[str, bytes]]:
        """What stands behind the pictures. `given` are addresses with their pictures' names, `left_out` whoever cannot be
        in the list: name and address."""
        out = io.StringIO(newline="")
        csv.writer(out, quoting=csv.QUOTE_ALL).writerows([self.columns, *given])
        made = [(self.list_name, out.getvalue().encode(self.encoding))]
        made += [(name, text.encode()) for name, text in self.further]
        if left_out:
            why = f"No account of {self.name} is called like this. Set the photo by hand, or correct the address."
            rows = [(name, address, why) for name, address in left_out]
            made.append((LEFT_OUT, workbook.export_csv(("Full name", "E-mail", "Why"), rows)))
        return made


def takes(address: str) -> bool:
    return ADDRESS.fullmatch(address) is not None


def stem(address: str) -> str:
    """The file's name without its ending."""
    return f"{FOLDER}/{ODD.sub('-', address)[:LONGEST_STEM]}"


def chosen(theirs: Sequence[Released]) -> Released:
    """The one picture that a directory shows of a person: what they released last. A heart set on their own page tells
    others nothing; what they let stand first as they hand over does, and that page has the heart ticked."""
    return max(theirs, key=lambda one: (one.release.at, one.headshot.number))


SET_PHOTOS = """\
# Sets the photos of this folder in Microsoft Entra ID; they show in Microsoft 365, Teams and Outlook.
# Once, before:   Install-Module Microsoft.Graph.Users -Scope CurrentUser
# To try it:      .\\Set-Photos.ps1 -WhatIf
# To do it:       .\\Set-Photos.ps1
# Whoever signs in needs a role that may change users' photos, such as User Administrator.
[CmdletBinding(SupportsShouldProcess)]
param()
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$people = @(Import-Csv -LiteralPath (Join-Path $PSScriptRoot 'users.csv') -Encoding UTF8)
if (-not $WhatIfPreference) {
    Import-Module Microsoft.Graph.Users
    Connect-MgGraph -Scopes 'ProfilePhoto.ReadWrite.All' -NoWelcome
}

$set = 0
$failed = @()
foreach ($person in $people) {
    $photo = Join-Path $PSScriptRoot $person.File
    if (-not $PSCmdlet.ShouldProcess($person.UserPrincipalName, 'Set the photo')) { continue }
    try {
        if (-not (Test-Path -LiteralPath $photo -PathType Leaf)) { throw 'The picture is not in this folder.' }
        Set-MgUserPhotoContent -UserId $person.UserPrincipalName -InFile $photo
        $set++
    }
    catch {
        $failed += [pscustomobject]@{ UserPrincipalName = $person.UserPrincipalName; Why = $_.Exception.Message }
    }
}
Write-Output "$set of $($people.Count) photos are set."
if ($failed.Count -gt 0) {
    $failed | Export-Csv -LiteralPath (Join-Path $PSScriptRoot 'failed.csv') -NoTypeInformation -Encoding UTF8
    Write-Warning "$($failed.Count) are not; failed.csv says why. Running the script again does no harm."
}
"""
ABOUT = """\
What is here
  photos       One picture of each person: 648 x 648 pixels, JPEG, at most 100 kB. Where somebody released several, it is
               what they released last, and of several at once what they want to stand first.
  {list_name:<12} Which picture belongs to which account, by the e-mail address of your list in Likeness.
  left-out.csv Only if somebody is left out: whose address no account can have.

What to do
{steps}
What to know
  An account that is called otherwise than its e-mail address has to be corrected in {list_name} first.
  Each picture says of itself, in its metadata, how it came about; directories take that off. Where it has to be said
  that a picture was made by AI, say it in words: Likeness names them under Headshots, What to say where you publish them.
  Somebody who takes a headshot back later is named under Headshots, Copies to delete. Delete it in the directory too.
"""
ENTRA = """\
  1. Unpack the archive on a computer with PowerShell 5.1 or later.
  2. Once: Install-Module Microsoft.Graph.Users -Scope CurrentUser
  3. In the unpacked folder: .\\Set-Photos.ps1 -WhatIf     It says whose photos it would set, and sets none.
  4. .\\Set-Photos.ps1     It asks you to sign in, and sets them.
  Your computer may refuse scripts that came from the net: read Set-Photos.ps1, then Unblock-File .\\Set-Photos.ps1

"""
GOOGLE = """\
  1. Unpack the archive on the computer where GAM is set up.
  2. In the unpacked folder, to try it with one person:
       gam user somebody@your-company.example update photo photos/somebody@your-company.example.jpg
  3. For everybody:
       gam csv photos.csv gam user "~primaryEmail" update photo "~file"

"""


def _about(list_name: str, steps: str) -> tuple[str, str]:
    return "README.txt", ABOUT.format(list_name=list_name, steps=steps)


DIRECTORIES = {
    # Windows PowerShell 5.1 takes a list without a mark of its encoding for one in the computer's own.
    "entra": Directory(
        "Entra ID", ("UserPrincipalName", "File"), "users.csv", "utf-8-sig",
        (("Set-Photos.ps1", SET_PHOTOS.replace("\n", "\r\n")), _about("users.csv", ENTRA)),
    ),
    # GAM takes such a mark for a part of the first heading.
    "google": Directory(
        "Google Workspace", ("primaryEmail", "file"), "photos.csv", "utf-8", (_about("photos.csv", GOOGLE),)
    ),
}  # fmt: skip
