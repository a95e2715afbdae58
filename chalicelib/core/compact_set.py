"""A set of texts that takes 16 bytes a text, however long the texts are.

A million groups must be compared with each other inside a small Lambda. A Python set would
need some 150 MB for them; this one keeps 96-bit fingerprints in a single bytearray.
"""

from hashlib import blake2b

_WIDTH = 12  # bytes of a fingerprint: two of a million texts share one with odds of 1 : 10^17
_EMPTY = bytes(_WIDTH)
_SMALLEST = 1024


class CompactSet:
    """Remembers which texts were added.

    Told how many texts to `expect`, it takes its final size at once; without, or with more
    of them, it doubles, and then holds the old table beside the new one for a moment.
    """

    def __init__(self, expect: int = 0):
        self._resize(max(_SMALLEST, expect * 4 // 3 + 1))

    def __len__(self) -> int:
        return self._count

    def add(self, text: str) -> bool:
        """Add a text; False if it was there already."""
        fingerprint = blake2b(text.encode(), digest_size=_WIDTH).digest()
        if not self._place(fingerprint):
            return False
        if self._count * 4 > self._slots * 3:
            self._grow()
        return True

    def _place(self, fingerprint: bytes) -> bool:
        table, end = self._table, self._slots * _WIDTH
        at = int.from_bytes(fingerprint[:8], "little") % self._slots * _WIDTH
        while (found := table[at : at + _WIDTH]) != _EMPTY:
            if found == fingerprint:
                return False
            at += _WIDTH
            if at == end:
                at = 0
        table[at : at + _WIDTH] = fingerprint
        self._count += 1
        return True

    def _resize(self, slots: int) -> None:
        self._slots = slots
        self._table = bytearray(slots * _WIDTH)
        self._count = 0

    def _grow(self) -> None:
        old = self._table
        self._resize(self._slots * 2)
        for at in range(0, len(old), _WIDTH):
            if (fingerprint := bytes(old[at : at + _WIDTH])) != _EMPTY:
                self._place(fingerprint)
