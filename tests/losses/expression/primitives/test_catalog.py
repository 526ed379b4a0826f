from lossforge.losses.expression.primitives.catalog import CATALOG, PAPER


def test_the_paper_s_functions_come_first_and_names_are_keys():
    names = list(CATALOG)
    assert names[: len(PAPER)] == [primitive.name for primitive in PAPER]
    assert all(primitive.name == name for name, primitive in CATALOG.items())
    assert {"atan", "exp", "power"} <= set(names[len(PAPER) :])


def test_every_function_carries_its_sources():
    for primitive in CATALOG.values():
        assert primitive.torch_source
        assert primitive.python_source
        assert primitive.sympy_source
