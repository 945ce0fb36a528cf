"""The commands about files: what a picture says of itself, and which weights may be loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from batch.marks.seen import Seen, Statement

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--root", type=FILE, help="Certificates in PEM that you trust, such as what `likeness signer marks` prints."
)
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
def marks(file: Path, root: Path | None, as_json: bool) -> None:
    """Say how a picture was made, by its metadata (IPTC), its signed statement (C2PA) and the mark in its pixels.

    Nothing is asked of a network. Status 1 where the picture has none of the three, 2 where its statement does not hold.
    """
    from batch.marks import seen
    from batch.marks.boxes import NoPicture

    try:
        found = seen.look(file.read_bytes(), root.read_text() if root else "")
    except NoPicture as error:
        raise click.ClickException(f"{file}: {error}.") from error
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=2))
    else:
        for line in _sentences(found):  # What a file says may hold codes that a terminal obeys.
            click.echo("".join(sign if sign.isprintable() else "?" for sign in line))
    broken = found.c2pa is not None and found.c2pa.state in (seen.CHANGED, seen.INVALID)
    raise SystemExit(2 if broken else 0 if found.any else 1)


def _sentences(found: Seen) -> list[str]:
    from batch.marks.detector import LEAST

    mark = found.watermark
    if mark is None:
        pixels = f"Mark in the pixels: the picture is too small to say; it takes {LEAST} pixels each way."
    elif mark.there:
        pixels = (
            f"Mark in the pixels: found, so a model made the picture ({mark.score:.1f} deviations above chance; it is"
            f" {mark.scale:.0%} as large as it was delivered)."
        )
    else:
        pixels = f"Mark in the pixels: none was found ({mark.score:.1f} deviations; chance alone gives about 5)."
    named = f"{found.iptc} ({_known(found.iptc)})." if found.iptc else "none."
    return [f"Digital source type (IPTC): {named}", _said(found.c2pa), pixels]


def _said(statement: Statement | None) -> str:
    from batch.marks.seen import CHANGED, TRUSTED, UNKNOWN

    if statement is None:
        return "Signed statement (C2PA): none."
    if statement.state == TRUSTED:
        held = "unchanged since it was signed, by a signer whom you trust"
    elif statement.state == UNKNOWN:
        held = "unchanged since it was signed, by a signer whom no certificate that you named vouches for"
    elif statement.state == CHANGED:
        return "Signed statement (C2PA): does not hold. The picture was changed after it was signed."
    else:
        ended = "signingCredential.expired" in statement.failures
        why = "its signer's certificate has ended" if ended else ", ".join(statement.failures) or "it cannot be read"
        return f"Signed statement (C2PA): does not hold ({why}). That does not mean that the picture was changed."
    source = f"{statement.source} ({_known(statement.source)})" if statement.source else "no source type"
    extras = f"{statement.thumbnails} thumbnails, {statement.ingredients} ingredients"
    return f"Signed statement (C2PA): {held} ({statement.signer}). It says: {source}; {extras}."


def _known(source: str) -> str:
    from batch.marks.iptc import COMPOSITE, GENERATED

    known = {GENERATED: "drawn by a model", COMPOSITE: "a photograph, cut out and set on a backdrop"}
    return known.get(source, "a source of another program")


@click.group()
def weights() -> None:
    """The weights of the base that LIKENESS_RECIPE names."""


@weights.command("pin")
@click.option("--revision", default="", help="Which revision they are. A copy in Hugging Face's cache knows its own.")
def pin_weights(revision: str) -> None:
    """Fix the files of the base that are on this machine: no other ones are loaded from here afterwards.

    The last line is a setting of the server, which has every node of a cluster compared with these files.
    """
    from gpu_cluster.bases import weights as files
    from gpu_cluster.bases.recipe import recipes
    from likeness.ground.settings import from_environment

    recipe = recipes().get(from_environment().recipe)
    found = files.folders(recipe) if recipe else []
    if not found:
        raise click.ClickException("There are no weights on this machine. docs/models.md says how to get them.")
    for folder in found:
        try:
            count = files.pin(folder, revision.strip())
        except files.RevisionOther as error:
            raise click.ClickException(str(error)) from error
        which = files.fixed_revision(folder)
        click.echo(f"{count} files{' of revision ' + which if which else ''} are fixed in {folder / files.SUMS}.")
    click.echo(f"LIKENESS_WEIGHTS={','.join(map(files.contents, found))}")
