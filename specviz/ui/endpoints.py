"""What programs may ask of the page, by `gradio_client`, plain HTTP or MCP: see docs/API.md.

An endpoint goes through the desk and the reading of the page, so it has the same line, the same limits and the same
sentences. One that runs the models is a stream of messages {"kind": "wait" | "rounds" | "progress" | "end", ...}, of
which the last, "end", is the whole answer: who waits for one answer gets that. What is refused is a gr.Error: its
message is the sentence, its title the argument that it is about.

Gradio reads signatures and docstrings: the annotations are objects here, not texts.
"""

import importlib.util
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from math import prod
from typing import Any

import gradio as gr
from gradio.events import api

from specviz import drafters as drafters_
from specviz import registry
from specviz import rules as rules_
from specviz.engine.settings import parse_lane
from specviz.prob import dists
from specviz.rules.inputs import checked_tokens
from specviz.ui import advice, runs, sweeping, visitors
from specviz.ui.desk import Desk
from specviz.ui.line import Message, Turn, Work
from specviz.ui.models import about
from specviz.ui.requests import MAX_LANES, Refused, refusing
from specviz.ui.retold import Rounds, kept, point, summary, waiting, worded
from specviz.ui.watch import state_of
from specviz.view.boot import drafter_words, pair_words, rule_words

RULES = ["plain", "sps", "cactus"]
SWEPT = ["sps", "cactus:delta=0.1,1"]
EXAMPLE = ["sps", "cactus:delta=0.5"]
QUESTIONS = 16  # of a sweep, unless more are asked for
ENTRIES, ROWS = 200_000, 1000  # numbers that are judged at once, and rows of them


def add(desk: Desk, blocks: gr.Blocks) -> None:
    """Adds the endpoints to the page that is being built."""

    def ask(request: gr.Request, kind: str, work: Work, pair: Any = None) -> AsyncGenerator[Message, None]:
        name = None if pair is None else str(pair)
        return desk.messages(visitors.of(blocks, request), kind, work, name=name)

    async def compare(
        request: gr.Request,
        prompt: str,
        rules: list[str] = RULES,
        drafter: str | None = None,
        pair: str | None = None,
        style: str | None = None,
        system: str | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        draft_length: int | str = 4,
        max_new_tokens: int = 200,
        seed: int = 0,
        trace: bool = False,
    ) -> AsyncIterator[dict[str, Any]]:
        """Decodes a prompt under several acceptance rules of speculative decoding with the same randomness, and measures
        each: what it writes, how many drafted tokens it keeps per verifier call, how far it is from the verifier.

        Parameters:
            prompt: the text that the models answer or go on with
            rules: 1 to 5 of plain (the verifier alone), sps, block, traversal, multi_path, k_seq, sampler_match, cactus, cactus_law, tas, top_k, interpolation, contrastive, alignment, lenience, mentored, cascade_opt, cascade_token, fuzzy, exact_match; knobs as in cactus:delta=0.5, a drafter of its own as in sps@ngram
            drafter: what proposes tokens in the other lanes, such as model, ngram for copies from the text itself, or tree for several candidates for one place, as in tree:shape=3-2-1; left out, what suits the models
            pair: the models, by their name; left out, those that the page began with
            style: how the prompt is put to the models; left out, as a message where they chat
            system: the system message of a chat
            temperature: from 0 to 5; left out, what suits the models, and so are top_k and top_p
            top_k: only so many of the likeliest tokens; 0 is all
            top_p: only the likeliest tokens that together have so much probability
            draft_length: tokens drafted before the verifier looks, from 1 to 32, or auto, confidence:0.4, thompson
            max_new_tokens: the run ends after so many tokens
            seed: the same seed gives the same run
            trace: whether the answer holds the whole record, as a JSON text that verify and advise take
        Returns:
            for each lane its text and its figures, with their definitions
        """
        numbers = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        fixed = {"draft_length": draft_length, "max_new_tokens": max_new_tokens, "seed": seed}
        asked: dict[str, Any] = {"prompt": prompt, "style": style, "system": system, **fixed}
        asked |= {name: number for name, number in numbers.items() if number is not None}
        with _refusals(desk, "run"):
            asked["lanes"] = [_lane(spec) for spec in _specs(rules)]
            asked["drafter"] = None if drafter is None else _drafter(drafter)
        work = partial(runs.compute, asked=asked)
        rounds = Rounds()
        async with aclosing(_told(ask(request, "run", work, pair), rounds.told, "prompt")) as messages:
            async for message in messages:
                yield message
        if rounds.end is not None:
            yield await _aside(desk, partial(summary, rounds.end["final"], rounds.end["message"], bool(trace)))

    async def sweep(
        request: gr.Request,
        rules: list[str] = SWEPT,
        questions: int = QUESTIONS,
        families: list[str] | None = None,
        temperature: float = 1.0,
        draft_length: int = 4,
        seed: int = 0,
    ) -> AsyncIterator[dict[str, Any]]:
        """Decodes the same questions, whose answers can be checked, under every rule at every knob value, and plainly: right
        answers and divergence against tokens kept, each with its interval.

        Parameters:
            rules: such as cactus:delta=0.1,0.3,1, each value of a knob being a point of its own
            questions: how many each point answers
            families: kinds of questions; left out, all
            temperature: from 0 to 5
            draft_length: tokens drafted before the verifier looks, from 1 to 32
            seed: of the questions and of what is written
        Returns:
            a row for each point, and the same as CSV
        """
        usual = sweeping.usual()
        asked = usual | {
            "rules": rules,
            "questions": questions,
            "families": usual["families"] if families is None else families,
        }
        asked |= {"temperature": temperature, "draft_length": draft_length, "seed": seed}
        work = partial(sweeping.compute, asked=asked)
        async with aclosing(_told(ask(request, "sweep", work, sweeping.pair(desk.models)), point)) as messages:
            async for message in messages:
                yield message

    async def verify(request: gr.Request, trace: str, pair: str | None = None) -> AsyncIterator[dict[str, Any]]:
        """Runs a trace again, and says whether every draft, verdict and token comes out the same.

        Parameters:
            trace: the JSON text that compare gave
            pair: the models, by their name; left out, those that the page began with
        Returns:
            same, and a sentence
        """
        work = partial(runs.verified, text=str(trace))
        end = partial(kept, names=("same", "message"))
        async with aclosing(_told(ask(request, "verify", work, pair), end, "trace")) as messages:
            async for message in messages:
                yield message

    async def advise(
        request: gr.Request, trace: str, spend: float | None = None, accept: float | None = None, drafters: bool = False, draft_length: int | None = None, pair: str | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Which knob value, for every rule, meets a goal, or which drafter is the fastest, read off a recorded run of at least
        two lanes.

        Parameters:
            trace: the JSON text that compare gave
            spend: the goal, either at most so many nats per judged token
            accept: or at least so many kept tokens per round
            drafters: or which drafter is the fastest under sps, which is lossless
            draft_length: tokens drafted before the verifier looks; left out, each rule's or drafter's fastest
            pair: the models of the trace, by their name; left out, those that the page began with
        Returns:
            a row for each rule or drafter that can, fastest first, and the names of those that cannot
        """
        with _refusals(desk, "advise"):
            if [spend is not None, accept is not None, bool(drafters)].count(True) != 1:
                raise Refused(
                    "spend",
                    "Give one goal: spend, at most so many nats, or accept, at least so many tokens, or drafters, the fastest.",
                )
        goal, value = ("accept", accept) if spend is None else ("spend", spend)
        text = json.dumps({"trace": trace, "goal": goal, "value": value, "draft_length": draft_length})
        kind = "drafters" if drafters else "advise"
        work = partial(advice.answered, kind=kind, text=text)
        return await _answer(ask(request, kind, work, pair), "trace")

    async def judge(
        request: gr.Request, rule: str, verifier_probs: list[Any], draft_probs: list[Any], token: int | list[Any]
    ) -> dict[str, Any]:
        """What a rule says about drafted tokens, given the two distributions they are judged by. Rows are judged alike: the
        last dimension is the vocabulary, leading ones broadcast.

        Parameters:
            rule: such as cactus:delta=0.5
            verifier_probs: probabilities that sum to 1, or rows of them
            draft_probs: what the token was drawn from, likewise
            token: the drafted token, a place in the vocabulary; or one for each row
        Returns:
            accept_prob, the chance that it is kept, and residual_probs, what is drawn from if it is not
        """

        def judged(_: Turn) -> Iterator[Message]:
            chosen = refusing("rule", lambda: rules_.parse(str(rule)))
            parts = checked_tokens(verifier_probs, draft_probs, token)
            _fit(*parts[0].shape)
            verdict = chosen.judge(*parts)
            answer = {"accept_prob": verdict.accept_prob.tolist(), "residual_probs": verdict.residual_probs.tolist()}
            yield {"kind": "answer", "answer": answer}

        return await _answer(ask(request, "judge", judged))

    async def law(request: gr.Request, rule: str, verifier_probs: list[Any], draft_probs: list[Any]) -> dict[str, Any]:
        """What a position really emits under a rule, exactly, given the distributions of the verifier and of the draft.

        Parameters:
            rule: such as cactus:delta=0.5
            verifier_probs: probabilities that sum to 1, or rows of them
            draft_probs: likewise
        Returns:
            output_law, acceptance (the chance that a drafted token is kept), and kl, KL(output law || verifier) in nats
        """

        def exact(_: Turn) -> Iterator[Message]:
            chosen = refusing("rule", lambda: rules_.parse(str(rule)))
            verifier, draft = rules_.checked(verifier_probs, draft_probs)
            _fit(*verifier.shape)
            emitted = chosen.output_law(verifier, draft)
            acceptance, kl = chosen.acceptance(verifier, draft), dists.kl(emitted, verifier)
            answer = {"output_law": emitted.tolist(), "acceptance": acceptance.tolist(), "kl": worded(kl.tolist())}
            yield {"kind": "answer", "answer": answer}

        return await _answer(ask(request, "law", exact))

    def models() -> dict[str, Any]:
        """The models on offer.

        Returns:
            pairs, each with its name, what it knows, its styles, and its state: none (nobody asked for it yet), loading, failed or ready
        """
        states = [(pair_words(facts), desk.models.peek(name)) for name, facts in desk.models.known.items()]
        own = desk.models.peek()
        if not states:
            states = [({} if own is None or own.pair is None else about(own.pair), own)]
        return {"pairs": [words | state_of(loading) for words, loading in states]}

    def rules() -> dict[str, Any]:
        """The acceptance rules and their knobs.

        Returns:
            for each its formula, what it helps and hurts, its source, and its knobs with what is allowed
        """
        return rule_words()

    def drafters() -> dict[str, Any]:
        """The drafters and their knobs.

        Returns:
            for each a sentence, its source, and its knobs with what is allowed
        """
        return drafter_words()

    for endpoint in (compare, sweep, verify, advise, judge, law, models, rules, drafters):
        if endpoint is not compare:
            vars(endpoint)["_mcp_type"] = "endpoint"  # Gradio's word for what is no tool; there is one, `compare`
        api(endpoint, concurrency_limit=None, concurrency_id="line")  # which has the bounds


def mcp() -> bool:
    """Whether the library is here that makes of `compare` a tool for language models."""
    return importlib.util.find_spec("mcp") is not None


def _specs(rules: Any) -> list[str]:
    if (
        not isinstance(rules, list)
        or not all(isinstance(spec, str) for spec in rules)
        or not 1 <= len(rules) <= MAX_LANES
    ):
        raise Refused(
            "rules", f"rules is a list of 1 to {MAX_LANES} rules, such as {EXAMPLE}; got {str(rules)[:100]!r}."
        )
    return rules


def _lane(spec: str) -> dict[str, Any]:
    """A lane as the page asks for it."""
    rule, drafter = refusing("rules", lambda: parse_lane(spec))
    if rule is None:
        return {"rule": None}
    own = {} if drafter is None else {"drafter": {"name": drafter.name, "knobs": registry.values(drafter)}}
    return {"rule": rule.name, "knobs": registry.values(rule)} | own


def _drafter(spec: Any) -> dict[str, Any]:
    drafter = refusing("drafter", lambda: drafters_.parse(str(spec)))
    return {"name": drafter.name, "knobs": registry.values(drafter)}


def _fit(*shape: int) -> None:
    *leading, size = shape
    rows = prod(leading)
    if rows > ROWS or rows * size > ENTRIES:
        raise Refused(
            "verifier_probs",
            f"At most {ROWS:,} rows and {ENTRIES:,} probabilities are judged at once here; got {rows:,} rows of {size:,}.",
        )


def _error(sentence: str, control: str) -> gr.Error:
    """What the asker gets; its title is the argument that a control of the page stands for."""
    return gr.Error(sentence, title=re.sub(r"^(lane|rule)\d+$", "rules", control) or "Error", print_exception=False)


@contextmanager
def _refusals(desk: Desk, kind: str, argument: str = "") -> Iterator[None]:
    """What is refused in here is so before it comes into the line."""
    try:
        yield
    except ValueError as error:
        control = error.field if isinstance(error, Refused) else argument
        desk.watch.refused(kind, control)
        raise _error(str(error), control) from None


async def _told(
    messages: AsyncGenerator[Message, None], retold: Callable[[Message], Message | None], prompt: str = ""
) -> AsyncGenerator[Message, None]:
    """The messages of a job as `retold`, those that it leaves out left out. gr.Error for the one that refuses it; `prompt`: the
    argument that stands where the page has its prompt."""
    async with aclosing(messages):
        async for message in messages:
            if message["kind"] == "error":
                raise _error(message["message"], prompt if message["field"] == "prompt" else message["field"])
            told = waiting(message) if message["kind"] == "wait" else retold(message)
            if told is not None:
                yield told


async def _answer(messages: AsyncGenerator[Message, None], prompt: str = "") -> dict[str, Any]:
    """The one answer of a job."""
    answer: dict[str, Any] = {}
    async for message in _told(messages, lambda message: message, prompt):
        answer = message.get("answer", answer)
    return answer


async def _aside(desk: Desk, work: Callable[[], Message]) -> Message:
    """See `Desk.aside`. gr.Error if too many wait."""
    made = await desk.aside(work)
    if "error" in made:
        raise _error(made["error"], "")
    return made
