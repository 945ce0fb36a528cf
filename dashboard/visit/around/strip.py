"""The strip on top of every page of the visit: one sentence of what is here, until when, and what the employer has.

It opens to every copy, key, download and deletion with its time. What it says is read from rows and from the key folder
at each request, so that it is true of the moment at which it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dashboard.visit.around.standing import Me
from likeness.keys.keys import KeyClass
from likeness.locale.marks import N_

KEYS = {
    KeyClass.SOURCE: N_("Key of your selfies"),
    KeyClass.MODEL: N_("Key of the model of you"),
    KeyClass.HEADSHOT: N_("Key of your headshots"),
    KeyClass.PROFILE: N_("Key of your name and address"),
}


@dataclass(frozen=True)
class Key:
    name: str
    state: str
    until: str


@dataclass(frozen=True)
class Strip:
    said: str
    keys: tuple[Key, ...]


def strip(me: Me) -> Strip:
    # The point stays at the end of its line where the strip is broken.
    return Strip("\xa0· ".join([*_here(me), _employer(me)]), tuple(_key(me, cls) for cls in KEYS if _told(me, cls)))


def _here(me: Me) -> list[str]:
    """What is here and how long."""
    say, dues = me.words, [fate.due for fate in me.fates if fate.due]
    if me.deleting:
        return [say.gettext("Everything you handed in is being deleted")]
    if not dues:
        return [say.gettext("Nothing of your face is here")]
    things = [
        *([say.ngettext("{n} selfie", "{n} selfies", me.photos)] if me.photos else []),
        *([say.gettext("a photo that is arriving")] if me.arriving and not me.photos else []),
        *([say.gettext("a model of you")] if me.has_model else []),
        *([say.ngettext("{n} headshot", "{n} headshots", me.headshots)] if me.headshots else []),
    ]
    return [say.enumerated(things), _until(me, max(dues))]


def _until(me: Me, last: datetime) -> str:
    say = me.words
    held = [fate.held_until for fate in me.fates if fate.due and fate.held_until]
    if held:
        return say.gettext("kept by a legal hold until {day}", day=say.weekday(max(held)))
    return say.gettext("gone by {day}", day=say.weekday(last))


def _employer(me: Me) -> str:
    say, copies = me.words, me.copies.kept + len(me.copies.asked)
    if copies:
        return say.ngettext(
            "your employer has a copy of {n} headshot", "your employer has copies of {n} headshots", copies
        )
    if me.released:
        return say.ngettext("your employer sees {n} headshot", "your employer sees {n} headshots", me.released)
    return say.gettext("your employer has nothing")


def _told(me: Me, cls: KeyClass) -> bool:
    """Where no model can be made, nothing is said of its key; nor of one whose end would tell of a hold."""
    return cls not in me.untold and (cls != KeyClass.MODEL or me.modelled)


def _key(me: Me, cls: KeyClass) -> Key:
    say, (made, destroyed) = me.words, me.keys[cls]
    name = say.gettext(KEYS[cls])
    if made is None and destroyed is not None:
        return Key(name, say.gettext("destroyed on {day}", day=say.moment(destroyed)),
                   say.gettext("No backup can be read with it any more."))  # fmt: skip
    if made is None:
        return Key(name, say.gettext("not made yet"), say.gettext("It is made for you alone, with the first of them."))
    state = say.gettext("made on {day}", day=say.moment(made))
    if cls == KeyClass.PROFILE:
        return Key(name, state, say.gettext("Destroyed when you have everything deleted."))
    return Key(name, state, say.gettext("Destroyed with the last of them; then no backup can be read any more."))
