"""Grants an order the lease that it is worked with: for the people in it and the classes it needs, while it may last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

from sqlmodel import col, select

from batch.models import Sitting, SittingState
from batch.sittings import edits
from gpu_cluster.bases.recipe import Recipe
from gpu_cluster.engine.lease import AWAY, DESTROYED, Terms, named, spelled
from gpu_cluster.engine.orders import PORTRAITS_SHOWN, Order, PersonOrder
from likeness.ground.errors import Unavailable
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyDestroyed, KeyFolder, KeyRef, KeyUnavailable
from likeness.store.objects import Objects, person_path
from tenants.models import CUTOUT

PORTRAITS_LAST = timedelta(hours=1)
MODELS_LAST = timedelta(hours=12)
"""Hours on processors, minutes on a GPU; whatever takes longer is taken up again from its checkpoint."""


class FolderElsewhere(Unavailable):
    """Objects are files of this machine, and the studio is on another."""

    title = "A Ray cluster needs a bucket"


def grant(kernel: Kernel, order: Order, public: bytes) -> bytes:
    """The lease, sealed to the studio that has this public key.

    Who left since the order was taken is not in it. Raises `Unavailable` while the database or the object store is away;
    somebody whose keys alone are away has none in it, and waits.
    """
    folder = kernel.settings.objects_address()
    if folder.startswith("s3://"):
        folder = ""
    elif kernel.settings.ray_address:
        raise FolderElsewhere("LIKENESS_OBJECTS_URL is a folder, which the nodes of a Ray cluster cannot reach.")
    people = _still_there(kernel, order)
    lasts = PORTRAITS_LAST if order.recipe["name"] == CUTOUT else MODELS_LAST
    return terms(kernel.keys, kernel.objects, order, people, lasts, folder).sealed_to(public)


def terms(
    keys: KeyFolder, objects: Objects, order: Order, people: Sequence[PersonOrder], lasts: timedelta, folder: str = ""
) -> Terms:
    """For these people of the order and nobody else. `folder` is where objects are files of this machine."""
    held: dict[str, str] = {}
    read: dict[str, str] = {}
    write: dict[str, list[tuple[str, str]]] = {}
    for person in people:
        for cls, places in _places(order).items():
            ref = KeyRef(order.tenant, person.employee, cls)
            held[named(ref)] = _key(keys, ref)
            paths = [person_path(ref.tenant, ref.owner, cls, uuid4()) for _ in range(places)]
            write[named(ref)] = [(path, objects.address(path, lasts, write=True)) for path in paths]
        for path in filter(None, (*person.photos, person.checkpoint)):
            read[path] = objects.address(path, lasts)
    return Terms(str(order.id), lasts.total_seconds(), held, read, write, folder)


def _places(order: Order) -> dict[KeyClass, int]:
    """The classes of keys that an order of this recipe needs, each with how many objects it may create of one person."""
    if order.recipe["name"] == CUTOUT:
        return {KeyClass.SOURCE: 0, KeyClass.HEADSHOT: 1 if order.edits else PORTRAITS_SHOWN}
    recipe = Recipe.from_dict(order.recipe)
    if recipe.strategy != "lora":
        return {KeyClass.SOURCE: 0, KeyClass.HEADSHOT: recipe.shown}
    checkpoints = recipe.steps // (recipe.look_every or recipe.checkpoint_every) + 1
    return {KeyClass.SOURCE: 0, KeyClass.MODEL: checkpoints + 1, KeyClass.HEADSHOT: recipe.shown}


def _still_there(kernel: Kernel, order: Order) -> list[PersonOrder]:
    with kernel.db.transaction(order.tenant) as session:
        if order.edits:
            return [person for person in order.people if edits.held(session, person.sitting, person.fence) is not None]
        claimed = set(
            session.exec(
                select(Sitting.id, Sitting.fence).where(
                    col(Sitting.tenant_id) == order.tenant,
                    col(Sitting.id).in_([person.sitting for person in order.people]),
                    col(Sitting.state) != SittingState.CANCELLED,
                )
            )
        )
    return [person for person in order.people if (person.sitting, person.fence) in claimed]


def _key(keys: KeyFolder, ref: KeyRef) -> str:
    """A class that nothing has been filed under yet gets its key now; photos that nobody has a key of are away."""
    try:
        key = keys.open(ref) if ref.cls == KeyClass.SOURCE else keys.open_or_create(ref)
    except KeyDestroyed:
        return DESTROYED
    except KeyUnavailable:
        return AWAY
    return spelled(key.material())
