"""Pairs of distributions and rule settings that every acceptance rule is tested on."""

import itertools

import torch

from specviz import registry, rules


def random_pairs(count: int, size: int, seed: int, dtype=torch.float64):
    """(verifier_probs, draft_probs), each [count, size]: from flat to peaked, from nearly equal to unrelated."""
    generator = torch.Generator().manual_seed(seed)
    peak = 10 ** (torch.rand(count, 1, generator=generator, dtype=torch.float64) * 2 - 1)
    apart = 10 ** (torch.rand(count, 1, generator=generator, dtype=torch.float64) * 3 - 2)
    logits = peak * torch.randn(count, size, generator=generator, dtype=torch.float64)
    noise = apart * torch.randn(count, size, generator=generator, dtype=torch.float64)
    return torch.softmax(logits, -1).to(dtype), torch.softmax(logits + noise, -1).to(dtype)


def hard_pairs(dtype=torch.float64):
    """(verifier_probs, draft_probs), each [n, 6]: every pair of one-hot, equal, disjoint, zero-padded, flat, peaked,
    and nearly impossible (1e-30) distributions."""
    tiny = 1e-30
    rows = [
        [1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 1],
        [1, 1, 1, 1, 1, 1],
        [1, 1, 1, 0, 0, 0],
        [0, 0, 0, 1, 1, 1],
        [3, 2, 1, 0, 0, 0],
        [1 - 1e-9, 1e-9, 0, 0, 0, 0],
        [1, tiny, tiny, tiny, tiny, tiny],
        [tiny, tiny, 1, tiny, 0, 0],
        [tiny, 1, 1, 0, tiny, 0.5],
        [0.35, 0.05, 0.1, 0.2, 0.2, 0.1],
        [0.8, 0.01, 0.01, 0.08, 0.05, 0.05],
        [1e-7, 1 - 2e-7, 1e-7, 0, 0, 0],
        [0.5 + 1e-16, 0.5 - 1e-16, 0, 0, 0, 0],
    ]
    probs = torch.tensor(rows, dtype=torch.float64)
    probs = (probs / probs.sum(-1, keepdim=True)).to(dtype)
    pairs = list(itertools.product(probs, probs))
    return torch.stack([a for a, _ in pairs]), torch.stack([b for _, b in pairs])


def all_pairs(dtype=torch.float64):
    """Random and hard pairs together, [n, 6]."""
    both = [random_pairs(120, 6, 1, dtype), hard_pairs(dtype)]
    return tuple(torch.cat([pair[i] for pair in both]) for i in (0, 1))


def settings(name: str) -> list:
    """A rule at its defaults, at the ends and two steps within the range of each knob, for each choice of words."""
    described = registry.knobs(rules.get(name))
    words = [info for info in described if info["choices"]]
    numbers = [info for info in described if not info["choices"]]
    found = [rules.make(name)]
    for chosen in itertools.product(*(info["choices"] for info in words)):
        fixed = {info["name"]: word for info, word in zip(words, chosen, strict=True)}
        found.append(rules.make(name, **fixed))
        for info in numbers:
            found += [rules.make(name, **fixed, **{info["name"]: value}) for value in steps(info)]
    return list(dict.fromkeys(found))


def steps(info: dict) -> list:
    """Values across the range of a numeric knob, both ends included."""
    low, high = info["low"], info["high"]
    if info["type"] == "int":
        return sorted({low, min(low + 2, high), high})
    first = low + 1e-6 * (high - low) if info["open_low"] else low
    return [first, low + 0.003 * (high - low), low + 0.1 * (high - low), high]


def judge_every_token(rule, verifier_probs, draft_probs):
    """Judges each token of the vocabulary as if it was drafted: accept_prob [..., V], residual_probs [..., V, V]."""
    tokens = torch.arange(verifier_probs.shape[-1])
    verifier, draft = verifier_probs.unsqueeze(-2), draft_probs.unsqueeze(-2)
    if rule.scope == "token":
        verdict = rule.judge(verifier, draft, tokens)
        return verdict.accept_prob, verdict.residual_probs
    verdict = rule.judge(verifier.unsqueeze(-2), draft.unsqueeze(-2), tokens.unsqueeze(-1))  # blocks of one token
    return verdict.accept_prob.squeeze(-1), verdict.residual_probs.squeeze(-2)


def law_by_brute_force(rule, verifier_probs, draft_probs):
    """The output law [..., V], by its definition: a sum over every token that could be drafted."""
    accept, residual = judge_every_token(rule, verifier_probs, draft_probs)
    return draft_probs * accept + ((draft_probs * (1 - accept)).unsqueeze(-1) * residual).sum(-2)


def kept_of(rule, accept_prob, uniforms) -> int:
    """How many tokens of a chain stay, given accept_prob and one uniform in [0, 1) of each."""
    return len(rule.walk(range(-1, len(accept_prob) - 1), accept_prob, uniforms).path)
