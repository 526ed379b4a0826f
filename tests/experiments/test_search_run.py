"""Searches from Python: what is chosen and recommended, and what the verdict says."""


def test_the_front_trades_size_against_fitness(searched):
    front = searched.result["front"]
    sizes = [member["size"] for member in front]
    fitness = [member["fitness"] for member in front]
    assert sizes == sorted(set(sizes))
    assert fitness == sorted(fitness, reverse=True)


def test_the_loss_is_the_one_that_is_told(searched):
    assert str(searched.loss) == searched.result["loss"]
    assert searched.recommended["name"] in ("learned", *(each["name"] for each in searched.rivals))


def test_nothing_that_was_found_is_better_on_validation_data_than_what_is_recommended(searched):
    offered = [*searched.rivals, searched.recommended]
    valid = [each["valid"] for each in offered if each.get("valid") is not None]
    assert searched.recommended["valid"] == min(valid)
