"""Where pymatting finds its functions compiled. Compiling them takes 40 s, finding them half a second.

The set-up compiles them once. numba uses a folder of compiled functions only if it may write to it, and would compile
again, quietly, on a read-only root. There the 3 MB are copied to a folder of this process alone: what is in it is run,
so it may not lie where others can write.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path


def prepare() -> None:
    """To be called before pymatting is imported."""
    folder = os.environ.get("NUMBA_CACHE_DIR", "")
    if not folder or not Path(folder).is_dir() or os.access(folder, os.W_OK):
        return
    own = tempfile.mkdtemp(prefix="likeness-compiled-")
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    shutil.copytree(folder, own, dirs_exist_ok=True, copy_function=shutil.copyfile)
    os.chmod(own, 0o700)  # Copying gave it the mode of the folder that was copied.
    os.environ["NUMBA_CACHE_DIR"] = own
