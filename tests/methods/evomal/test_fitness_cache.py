import json
import math

from hypothesis import given
from hypothesis import strategies as st

from lossforge.methods.evomal.fitness_cache import FitnessCache

values = st.one_of(st.just(math.inf), st.floats(0, 1))
keys = st.text("abc", max_size=2)


@given(st.dictionaries(keys, values), st.lists(st.tuples(keys, st.sampled_from("gh"))))
def test_it_is_restored_from_json(fitness, gradients):
    cache = FitnessCache()
    for key, value in fitness.items():
        cache.add(key, value)
    for key, gradient in gradients:
        cache.follows(key, gradient)
    cache.counts["rejected"] += 3
    again = FitnessCache.from_state(json.loads(json.dumps(cache.state(), allow_nan=False)))
    assert again.state() == cache.state()
    assert {key: again.fitness(key) for key in fitness if key not in cache.state()["leaders"]} == {
        key: value for key, value in fitness.items() if key not in cache.state()["leaders"]
    }


def test_forms_with_equal_gradients_share_a_fitness():
    cache = FitnessCache()
    cache.add("0", 0.25)
    assert not cache.follows("0", "gradient")
    assert cache.follows("other", "gradient")
    assert cache.knows("other")
    assert cache.fitness("other") == 0.25
    assert not cache.knows("third")
