from dataclasses import fields, is_dataclass

import pytest

from lossforge.cli.method_options import field_docs, from_options, options_class, to_options
from lossforge.methods import METHODS

each = pytest.mark.parametrize("name", METHODS)


@each
def test_a_method_becomes_options_and_back(name):
    for preset in METHODS[name].presets:
        method = METHODS[name].preset(preset)
        assert from_options(METHODS[name](), to_options(method)) == method


@each
def test_every_option_has_a_help_of_its_own(name):
    def undocumented(settings: object) -> list[str]:
        docs = field_docs(type(settings))
        missing = [item.name for item in fields(settings) if len(docs.get(item.name, "")) < 10]
        parts = [getattr(settings, item.name) for item in fields(settings)]
        return missing + [n for part in parts if is_dataclass(part) for n in undocumented(part)]

    assert not undocumented(METHODS[name]())


def test_a_class_is_made_once():
    kind = type(METHODS["evomal"]())
    assert options_class(kind) is options_class(kind)
