"""The recipe of the drawn world, offered in the demo only."""

from gpu_cluster.bases.recipe import FREE_LICENCE, Recipe

RECIPES = (
    Recipe(
        name="portrait-small",
        base="drawn/base",
        family="drawn",
        world="drawn people",
        licence=FREE_LICENCE,
        resolution=128,
        # On two cores people wait half a minute; 480 come no nearer on average.
        steps=240,
        # More steps of fewer pictures come nearer in the same time.
        batch=2,
        # A small network bears, and needs, forty times the rate of SDXL's adapters; 8e-3 for B as well loses words.
        learning_rate=4e-3,
        # With 1 and with 4 faces are further off after as many steps.
        a_rate=2.0,
        # The whole of it takes seconds; a checkpoint in the middle is enough.
        checkpoint_every=120,
        render_steps=12,
        # Between 2 and 3, where the words are followed alike.
        guidance=2.5,
        # Evenly weighted, the hair's many pixels are learned first.
        face=3.0,
        # Half of all steps below t = 330: evenly drawn moments follow the words less.
        moments=1.6,
        render_batch=8,
        pictures=12,
        shown=6,
    ),
)
