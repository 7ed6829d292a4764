import pytest
import torch

from geostat.lab.problems import (
    PRETRAINING_OPERATIONS,
    TUNING_OPERATIONS,
    VOCABULARY,
    decode,
    draw_problems,
    encode,
    evaluation_problems,
    solve,
    verify,
)


def digitwise(combine):
    def compute(a, b):
        digits = [combine(a // 10**i % 10, b // 10**i % 10) % 10 for i in range(3)]
        return sum(digit * 10**i for i, digit in enumerate(digits))

    return compute


PYTHON_PRETRAINING = {
    "+": digitwise(lambda a, b: a + b),
    "-": digitwise(lambda a, b: a - b),
    "^": digitwise(max),
    "m": max,
    "c": lambda a, b: a,
}
PYTHON_TUNING = {"+": lambda a, b: a + b, "-": lambda a, b: (a - b) % 1000}


@pytest.mark.parametrize(
    ("operations", "python"),
    [(PRETRAINING_OPERATIONS, PYTHON_PRETRAINING), (TUNING_OPERATIONS, PYTHON_TUNING)],
    ids=["pretraining", "tuning"],
)
def test_every_answer_agrees_with_python_integers(operations, python):
    problems = draw_problems(operations, 2000, torch.Generator().manual_seed(1))
    seen = set()
    for prompt, answer in zip(problems.prompts, problems.answers, strict=True):
        text = decode(prompt)
        symbol, a, b, equals = text[0], int(text[1:4]), int(text[4:7]), text[7]
        assert equals == "="
        assert decode(answer) == f"{python[symbol](a, b):04d}"[::-1] + ";"
        seen.add(symbol)
    assert seen == set(python)


def test_the_vocabulary_has_seventeen_different_symbols():
    assert len(VOCABULARY) == len(set(VOCABULARY)) == 17


def test_the_largest_sum_fills_all_four_result_digits():
    assert decode(solve(encode("+ 999 999 ="))) == "8991;"


def test_a_difference_below_zero_wraps_at_a_thousand():
    assert decode(solve(encode("- 000 001 ="))) == "9990;"


def test_the_verifier_accepts_the_right_answer_alone():
    prompt, answer = encode("+ 427 615 ="), encode("2401;")
    assert verify(prompt, answer)
    for position in range(5):
        wrong = answer.clone()
        wrong[position] = (wrong[position] + 1) % 17
        assert not verify(prompt, wrong)


def test_the_verifier_looks_at_every_prompt_of_a_batch():
    problems = evaluation_problems(64)
    answers = problems.answers.clone()
    answers[::2, 0] = encode(";")
    assert verify(problems.prompts, answers).tolist() == [False, True] * 32


def test_the_evaluation_problems_are_4096_and_the_same_each_time():
    first, second = evaluation_problems(), evaluation_problems()
    assert first.prompts.shape == (4096, 8)
    assert torch.equal(first.prompts, second.prompts)


def test_problems_come_from_the_generator_alone():
    torch.manual_seed(1)
    first = draw_problems(TUNING_OPERATIONS, 32, torch.Generator().manual_seed(5))
    torch.manual_seed(2)
    second = draw_problems(TUNING_OPERATIONS, 32, torch.Generator().manual_seed(5))
    third = draw_problems(TUNING_OPERATIONS, 32, torch.Generator().manual_seed(6))
    assert torch.equal(first.prompts, second.prompts)
    assert not torch.equal(first.prompts, third.prompts)


def test_without_a_carry_pretraining_and_tuning_agree():
    assert torch.equal(solve(encode("+ 123 456 =")), solve(encode("+ 123 456 ="), PRETRAINING_OPERATIONS))
    assert not torch.equal(solve(encode("+ 129 456 =")), solve(encode("+ 129 456 ="), PRETRAINING_OPERATIONS))
