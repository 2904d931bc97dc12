"""Whatever a file holds, it is read or refused, and what is read can be assembled."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.importers.huggingface import read_config
from planner.program.assemble import assemble

COUNTS = json.loads((Path(__file__).parent.parent / "data" / "transformers" / "counts.json").read_text())
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 2**40), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5),
    st.lists(st.integers(-1, 3), max_size=3), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(sorted(COUNTS)), data=st.data())
def test_a_file_with_any_value_in_one_field_is_read_or_refused(readers, sublayers, name, data):
    config = COUNTS[name]["config"]
    changed = {**config, data.draw(st.sampled_from(sorted(config))): data.draw(VALUES)}
    try:
        architecture = read_config(json.dumps(changed), readers)
        built = assemble(architecture, sublayers)
    except InputError:
        return
    assert built.total_params >= built.active_params > 0


@settings(max_examples=200, deadline=None)
@given(text=st.one_of(st.text(), st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3)).map(json.dumps)))
def test_any_text_that_begins_like_json_is_refused_in_one_line(readers, text):
    with pytest.raises(InputError) as caught:
        read_config("{" + text, readers)
    assert "\n" not in str(caught.value)
