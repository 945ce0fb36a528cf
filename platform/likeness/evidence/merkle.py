"""The Merkle tree of RFC 6962, section 2.1: hashes, root, and the two proofs. Nothing here knows what a leaf says."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256

EMPTY = sha256(b"").digest()
SIZE = len(EMPTY)


def leaf_hash(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """Of leaf hashes in order; holds as many hashes in memory as the tree has levels."""
    peaks: list[tuple[int, bytes]] = []
    for leaf in leaves:
        _grow(peaks, leaf)
    return _top(peaks)


def roots(leaves: Iterable[bytes], sizes: Collection[int]) -> dict[int, bytes]:
    """Of the first so many leaves, for each of these sizes that there are as many of; one walk for all of them."""
    wanted, peaks = set(sizes), list[tuple[int, bytes]]()
    found = {0: EMPTY} if 0 in wanted else {}
    for size, leaf in enumerate(leaves, 1):
        _grow(peaks, leaf)
        if size in wanted:
            found[size] = _top(peaks)
    return found


def _grow(peaks: list[tuple[int, bytes]], leaf: bytes) -> None:
    size, top = 1, leaf
    while peaks and peaks[-1][0] == size:
        top, size = node_hash(peaks.pop()[1], top), size * 2
    peaks.append((size, top))


def _top(peaks: Sequence[tuple[int, bytes]]) -> bytes:
    if not peaks:
        return EMPTY
    *before, (_, top) = peaks
    for _, left in reversed(before):
        top = node_hash(left, top)
    return top


def inclusion(leaves: Sequence[bytes], position: int) -> list[bytes]:
    """The audit path of a leaf in the tree of all `leaves`. Raises `IndexError` for a leaf that is not in it."""
    if not 0 <= position < len(leaves):
        raise IndexError("there is no such leaf")
    path: list[bytes] = []
    low, high = 0, len(leaves)
    while high - low > 1:
        middle = low + _half(high - low)
        if position < middle:
            path.append(root(leaves[middle:high]))
            high = middle
        else:
            path.append(root(leaves[low:middle]))
            low = middle
    return path[::-1]


def consistency(leaves: Sequence[bytes], earlier: int) -> list[bytes]:
    """Proves that the tree of the first `earlier` leaves is the beginning of the tree of all of them.

    Raises `IndexError` when there were never so many.
    """
    if not 0 <= earlier <= len(leaves):
        raise IndexError("the earlier tree is larger than this one")
    if earlier in (0, len(leaves)):
        return []
    proof: list[bytes] = []
    low, high, whole = 0, len(leaves), True
    while earlier != high:
        middle = low + _half(high - low)
        if earlier <= middle:
            proof.append(root(leaves[middle:high]))
            high = middle
        else:
            proof.append(root(leaves[low:middle]))
            low, whole = middle, False
    if not whole:
        proof.append(root(leaves[low:high]))
    return proof[::-1]


def _half(size: int) -> int:
    """The largest power of two that is smaller than `size`."""
    return 1 << ((size - 1).bit_length() - 1)


class Levels:
    """Every hash of a tree, level by level in flat memory: 64 MB for a million leaves, and a proof needs no hashing."""

    def __init__(self, leaves: Iterable[bytes]) -> None:
        level = bytearray()
        for leaf in leaves:
            level += leaf
        self.size = len(level) // SIZE
        self._levels = [level]
        while len(level) > SIZE:
            above = bytearray()
            for at in range(0, len(level), 2 * SIZE):
                pair = level[at : at + 2 * SIZE]
                # The last of an odd number moves up as it is.
                above += node_hash(bytes(pair[:SIZE]), bytes(pair[SIZE:])) if len(pair) > SIZE else pair
            self._levels.append(above)
            level = above

    @property
    def root(self) -> bytes:
        return bytes(self._levels[-1]) or EMPTY

    def inclusion(self, position: int) -> list[bytes]:
        """As `inclusion` above. Raises `IndexError`."""
        if not 0 <= position < self.size:
            raise IndexError("there is no such leaf")
        path = []
        for level in self._levels[:-1]:
            other = (position ^ 1) * SIZE
            if other < len(level):
                path.append(bytes(level[other : other + SIZE]))
            position >>= 1
        return path
