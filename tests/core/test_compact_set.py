from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.compact_set import CompactSet


@given(st.lists(st.text(max_size=3)), st.integers(0, 50))
def test_it_knows_what_a_set_knows(texts: list[str], expect: int) -> None:
    compact, known = CompactSet(expect), set[str]()
    for text in texts:
        assert compact.add(text) == (text not in known)
        known.add(text)
        assert len(compact) == len(known)


def test_it_grows_without_forgetting() -> None:
    compact = CompactSet()
    texts = [f"Metadata_Well={n}" for n in range(5_000)]
    assert all(compact.add(text) for text in texts)
    assert not any(compact.add(text) for text in texts)
    assert len(compact) == 5_000
