"""The question families: every item is right, checkable, and on its own side of the hold-out."""

from __future__ import annotations

import operator
import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specviz import tasks

NAMES = tasks.names()
STEP = re.compile(r"(\d+) ([-+*]) (\d+) = (\d+)\.")
SIGNS = {"+": operator.add, "-": operator.sub, "*": operator.mul}


def drawn(name: str, count: int = 300) -> list[tasks.Question]:
    family, rng = tasks.family(name), random.Random(f"test {name}")
    return [family.generate(rng, 1 + place % family.levels) for place in range(count)]


def test_there_are_families_enough():
    assert len(NAMES) >= 6 and len(set(NAMES)) == len(NAMES)
    assert all(tasks.family(name).about.endswith(".") for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_solutions_end_with_the_answer(name):
    for item in drawn(name):
        assert item.solution.endswith(f"The answer is {item.answer}.")
        assert tasks.grade(item.solution, item.answer) and tasks.grade(item.text, item.answer)
        assert not tasks.grade(item.solution, item.answer + "0")
        assert item.text.isascii() and item.answer == item.answer.strip() != ""


@pytest.mark.parametrize("name", NAMES)
def test_the_arithmetic_of_the_steps_is_right(name):
    for item in drawn(name):
        steps = STEP.findall(item.solution)
        for left, sign, right, result in steps:
            assert SIGNS[sign](int(left), int(right)) == int(result), item.solution
        if name in ("chain", "product", "word"):
            assert steps and steps[-1][3] == item.answer


def test_answers_follow_from_the_prompts():
    """Solved a second time from the words of the prompt alone, where that is short to do."""
    for item in drawn("product"):
        left, right = map(int, re.findall(r"\d+", item.prompt))
        assert int(item.answer) == left * right
    for item in drawn("sort"):
        row = item.answer.split(", ")
        if row[0].isdigit():
            assert sorted(map(int, re.findall(r"\d+", item.prompt)), reverse="largest to" in item.prompt) == [
                *map(int, row)
            ]
        else:
            assert sorted(row, reverse="Z to A" in item.prompt) == row and all(word in item.prompt for word in row)
    for item in drawn("reverse"):
        apart = ", " if ", " in item.answer else " "
        assert apart.join(item.answer.split(apart)[::-1]) in item.prompt
    for item in drawn("order"):
        below = dict(re.findall(r"(\w+) is (?:taller|older|faster|richer) than (\w+)", item.prompt))
        below |= {b: a for a, b in re.findall(r"(\w+) is (?:shorter|younger|slower|poorer) than (\w+)", item.prompt)}
        (person,) = set(below) - set(below.values())
        row = [person]
        while row[-1] in below:
            row.append(below[row[-1]])
        assert ", ".join(row) + "." in item.solution and item.answer in row


def test_days_and_months_are_right():
    from specviz.tasks import days

    asked = re.compile(r"is (\w+?)[,.] .*?(\d+) (day|month)s", re.I)
    found = 0
    for item in drawn("days"):
        match = asked.search(item.prompt)
        if match is None:
            continue
        names = days.DAYS if match[3] == "day" else days.MONTHS
        step = -int(match[2]) if re.search("ago|before", item.prompt) else int(match[2])
        assert names[(names.index(match[1]) + step) % len(names)] == item.answer, item
        found += 1
    assert found > 250


@pytest.mark.parametrize("name", NAMES)
def test_held_out_items_are_many_and_never_trained_on(name):
    test = tasks.items([name], 500, seed=3)
    train = tasks.items([name], 500, seed=3, split="train")
    assert len({item.prompt for item in test}) == 500
    assert all(tasks.held_out(item.prompt) for item in test)
    assert not any(tasks.held_out(item.prompt) for item in train)


def test_items_depend_on_the_arguments_alone():
    assert tasks.items(NAMES, 40, 1) == tasks.items(NAMES, 40, 1) != tasks.items(NAMES, 40, 2)
    assert tasks.items(NAMES, 10, 1) == tasks.items(NAMES, 40, 1)[:10]
    assert {item.family for item in tasks.items(NAMES, len(NAMES), 1)} == set(NAMES)
    assert tasks.items(NAMES, 0, 1) == []


def test_the_hold_out_is_a_fixed_function_of_the_prompt():
    prompts = [f"prompt {number}" for number in range(5000)]
    share = sum(map(tasks.held_out, prompts)) / len(prompts)
    assert 0.08 < share < 0.125
    assert [p for p in prompts[:40] if tasks.held_out(p)] == HELD_OUT_OF_FORTY  # a change would leak test items


HELD_OUT_OF_FORTY = ["prompt 14", "prompt 15", "prompt 19"]


@pytest.mark.parametrize("name", NAMES)
def test_difficulty_is_a_dial(name):
    family, rng = tasks.family(name), random.Random(5)
    easy = sum(len(family.generate(rng, 1).text) for _ in range(200))
    hard = sum(len(family.generate(rng, family.levels).text) for _ in range(200))
    assert hard > 1.2 * easy
    for wrong in (0, family.levels + 1):
        with pytest.raises(ValueError, match=f"1 to {family.levels}"):
            family.generate(rng, wrong)


def test_unknown_names_say_what_there_is():
    with pytest.raises(ValueError, match="chain"):
        tasks.family("riddles")
    with pytest.raises(ValueError, match="train, test"):
        next(tasks.stream(NAMES, random.Random(0), "both"))
    with pytest.raises(ValueError, match="no task family"):
        tasks.items([], 3, 0)


def test_grading_takes_the_last_complete_claim():
    assert tasks.grade("The answer is 4. No. The answer is 5.", "5")
    assert not tasks.grade("The answer is 5. No. The answer is 4.", "5")
    assert tasks.grade("The answer is 5. And The answer is 6", "5")  # the last one is not finished
    assert not tasks.grade("The answer is 1,  2.", "1, 2")  # an answer is read as written


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The answer is .",
        "The answer is\u202e 5.",
        "The answer is \uff15.",
        "the answer is 5.",
        "The answer is 5",
        "The answer is 5\n.",
        "The answer is 5\0.",
        "The answer is 5%.",
    ],
)
def test_what_is_not_the_claim_is_wrong(text):
    assert not tasks.grade(text, "5")


@settings(deadline=None, max_examples=200)
@given(st.text(), st.text(min_size=1, max_size=5))
def test_grading_never_fails(text, answer):
    assert isinstance(tasks.grade(text, answer), bool)
    assert isinstance(tasks.held_out(text), bool)


def test_grading_hostile_text_is_quick():
    """In processor time, whatever else the machine does."""
    begun = time.process_time()
    assert not tasks.grade("The answer is " * 50_000, "5")
    assert time.process_time() - begun < 2
