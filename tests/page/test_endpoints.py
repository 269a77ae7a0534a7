"""What programs may ask of the page: answers that are those of the page and of the package, and docs/API.md, whose examples run
as they are written there. One page for all of it."""

from __future__ import annotations

import asyncio
import io
import json
import re
import subprocess

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

import specviz
from specviz import backends, cli, rules
from specviz.record import metrics
from specviz.record.trace import Trace
from specviz.ui import endpoints, line, page, runs, watch
from specviz.ui.line import Turn
from tests.support.browser import ROOT, free_port, serious, until, watched
from tests.support.desks import desk_of
from tests.test_docs import blocks

NAMES = {"compare", "sweep", "verify", "advise", "judge", "law", "models", "rules", "drafters"}
SECRET = "Zanzibar"  # a word of a prompt, looked for where none may be
PROMPT = f"One day in {SECRET}"
ASKED = dict(rules=["plain", "sps", "cactus:delta=1"], style="tiny", max_new_tokens=16, seed=5)
VERIFIER, DRAFT = [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]


@pytest.fixture(scope="module")
def served(pair):
    """The address of a page, its desk, and its log."""
    desk, log = desk_of(lambda: pair, {"small": backends.pairs()["small"]}), io.StringIO()
    blocks_ = page.build(desk)
    watch.log_to(log)
    where = dict(server_name="127.0.0.1", server_port=free_port(), prevent_thread_lock=True)
    _, url, _ = blocks_.launch(**where, **page.launch_options(desk))
    yield url, desk, log
    blocks_.close()
    watch.LOG.handlers.clear()


@pytest.fixture(scope="module")
def client(served):
    return Client(served[0], verbose=False, analytics_enabled=False)


@pytest.fixture(scope="module")
def answer(client):
    """A run's messages, the last of which is its answer."""
    return list(client.submit(PROMPT, **ASKED, trace=True, api_name="/compare"))


def bash(text: str) -> str:
    """What a text prints as a program of a shell."""
    return subprocess.run(["bash", "-euc", text], capture_output=True, text=True, check=True, timeout=60).stdout


def last(stream: str) -> dict:
    """The last answer of a call over HTTP."""
    return json.loads(stream.rpartition("event: complete\ndata: ")[2])[0]


def test_every_call_is_described(served):
    """All calls are listed, those of the page itself are not, and whoever reads of `compare` learns the name of every rule."""
    listed = httpx.get(f"{served[0]}gradio_api/info").json()["named_endpoints"]
    assert {name.lstrip("/") for name in listed} == NAMES
    assert all(about["description"] for about in listed.values())
    shown = next(
        function.fn for function in page.build(served[1]).fns.values() if function.api_name == "compare"
    ).__doc__
    assert all(re.search(rf"\b{name}\b", shown) for name in ["plain", *rules.names()])


def test_a_run_is_told_round_by_round_and_then_whole(answer):
    """The rounds make up the texts, and the last answer has the figures of the trace, each with its definition."""
    *before, end = answer
    told = [round_ for message in before for round_ in message.get("rounds", [])]
    trace = Trace.from_json(end["trace"])
    for number, lane in enumerate(trace.lanes):
        own = [round_ for round_ in told if round_["lane"] == number]
        assert "".join(round_["text"] for round_ in own) == trace.text(number) == end["lanes"][number]["text"]
        assert [round_["kept"] for round_ in own] == [round_.kept for round_ in lane.rounds]
        assert end["lanes"][number]["figures"] == metrics.figures(lane, trace.plain())
    assert {message["kind"] for message in before} <= {"wait", "rounds"} and end["kind"] == "end"
    assert end["definitions"].keys() == end["lanes"][0]["figures"].keys()
    assert {about["kind"] for about in end["definitions"].values()} == {"measured", "exact"}


def test_a_run_is_that_of_the_package(answer, pair, client):
    """The same settings write the same texts, and a trace reproduces."""
    run = specviz.compare(PROMPT, pair=pair, **ASKED)
    assert [run.text(i) for i in range(3)] == [lane["text"] for lane in answer[-1]["lanes"]]
    assert client.predict(answer[-1]["trace"], api_name="/verify")["same"]
    other = client.predict("{}", api_name="/verify")
    assert not other["same"] and "not a specviz trace" in other["message"]


def test_the_drafter_is_that_of_the_pair_unless_one_is_named(pair, client, monkeypatch):
    """As in the page and in the package."""
    monkeypatch.setattr(type(pair), "drafter", property(lambda self: "ngram:longest=2"))
    own, named = (
        client.predict(PROMPT, **ASKED, **drafter, api_name="/compare")["lanes"][1]
        for drafter in ({}, {"drafter": "model"})
    )
    run = specviz.compare(PROMPT, pair=pair, **ASKED)
    assert (
        own["drafter"] == run.trace.lanes[1].drafter.spec
        and own["drafter"].startswith("ngram:longest=2")
        and own["text"] == run.text(1)
    )
    assert named["drafter"].startswith("model")


def test_rules_judge_as_they_do_in_python(client):
    rule = rules.make("cactus", delta=1.0)
    judged = client.predict("cactus:delta=1", [VERIFIER, DRAFT], DRAFT, 2, api_name="/judge")
    verdict = rule.judge([VERIFIER, DRAFT], DRAFT, 2)
    assert judged["accept_prob"] == verdict.accept_prob.tolist()
    assert judged["residual_probs"] == verdict.residual_probs.tolist()
    law = client.predict("cactus:delta=1", VERIFIER, DRAFT, api_name="/law")
    assert law["output_law"] == rule.output_law(VERIFIER, DRAFT).tolist()
    assert law["acceptance"] == rule.acceptance(VERIFIER, DRAFT).tolist() and law["kl"] > 0
    assert client.predict("fuzzy", [1.0, 0.0], [0.8, 0.2], api_name="/law")["kl"] == "Infinity"


@pytest.mark.parametrize(
    "changes, argument, sentence",
    [
        ({"prompt": " "}, "prompt", "The prompt is empty"),
        ({"prompt": 7}, "prompt", "must be text"),
        ({"temperature": 99}, "temperature", "from 0 to 5"),
        ({"max_new_tokens": 0}, "max_new_tokens", "from 1 to 100000"),
        ({"seed": "x"}, "seed", "must be a number"),
        ({"drafter": "magic"}, "drafter", "no drafter called 'magic'"),
        ({"rules": ["magic"]}, "rules", "no acceptance rule called 'magic'"),
        ({"rules": ["cactus:delta=99"]}, "rules", "from 0 to 10"),
        ({"rules": "sps"}, "rules", "a list of 1 to 5 rules"),
        ({"rules": ["sps"] * 6}, "rules", "a list of 1 to 5 rules"),
        ({"pair": "magic"}, "pair", "no pair called 'magic'"),
    ],
)
def test_a_run_is_refused_as_in_the_page(client, pair, changes, argument, sentence):
    """In the page's own words, where the page can ask the same."""
    with pytest.raises(AppError, match=sentence) as error:
        client.predict(**{"prompt": PROMPT} | changes, api_name="/compare")
    assert error.value.title == argument
    if not changes.keys() & {"rules", "drafter", "pair"}:
        asked = {"prompt": PROMPT, "lanes": [{"rule": "sps"}]} | changes
        (message,) = runs.compute(Turn(pair), asked)
        assert (message["field"], message["message"]) == (argument, str(error.value))


@pytest.mark.parametrize(
    "call, arguments, argument, sentence",
    [
        ("judge", ["magic", VERIFIER, DRAFT, 0], "rule", "no acceptance rule"),
        ("judge", ["sps", [5, 2, 1], DRAFT, 0], "Error", "Were these logits?"),
        ("judge", ["sps", VERIFIER, DRAFT, 3], "Error", "from 0 to 2"),
        ("judge", ["sps", "abc", DRAFT, 0], "Error", "verifier_probs must be probabilities"),
        ("judge", ["sps", VERIFIER, DRAFT, [0] * 1001], "verifier_probs", "At most 1,000 rows"),
        ("law", ["sps", [1.0, *[0.0] * 200_000], [1.0, *[0.0] * 200_000]], "verifier_probs", "200,000 probabilities"),
        ("law", ["sps", VERIFIER, [0.5, 0.5]], "Error", "one vocabulary"),
        ("advise", ["{}"], "spend", "Give one goal"),
        ("advise", ["{}", 1], "trace", "not a specviz trace"),
        ("advise", ["{}", 1, None, True], "spend", "Give one goal"),
        ("advise", ["{}", None, None, True], "trace", "not a specviz trace"),
        ("sweep", [["magic"]], "rules", "no acceptance rule"),
        ("sweep", [["sps"], 10**6], "questions", "from 1 to 4,000"),
    ],
)
def test_other_calls_are_refused_in_sentences(client, call, arguments, argument, sentence):
    with pytest.raises(AppError, match=sentence) as error:
        client.predict(*arguments, api_name=f"/{call}")
    assert error.value.title == argument


def test_a_full_line_is_told_to_programs_as_well(client, monkeypatch):
    monkeypatch.setattr(line, "ALL", 0)
    for call, arguments in (("compare", [PROMPT]), ("law", ["sps", VERIFIER, DRAFT])):
        with pytest.raises(AppError, match="The house is full"):
            client.predict(*arguments, api_name=f"/{call}")


def test_who_goes_away_ends_the_run(served):
    """A connection that closes in the midst of a run of many tokens ends it, and the log says so."""
    url, _, log = served
    asked = {"prompt": PROMPT, "rules": ["plain"] * 5, "max_new_tokens": 900}
    event = httpx.post(f"{url}gradio_api/call/v2/compare", json=asked).json()["event_id"]
    with httpx.stream("GET", f"{url}gradio_api/call/compare/{event}", timeout=60) as stream:
        assert any("rounds" in text for text in stream.iter_lines())
    law = httpx.post(f"{url}gradio_api/call/law", json={"data": ["sps", VERIFIER, DRAFT]}).json()["event_id"]
    assert "event: complete" in httpx.get(f"{url}gradio_api/call/law/{law}", timeout=60).text, (
        "it is the next one's turn"
    )
    assert '"kind": "run", "outcome": "left"' in log.getvalue()


def test_the_examples_of_the_docs_work(served, capsys):
    """docs/API.md, from its first line of Python to its last, and its calls by curl."""
    url, _, _ = served
    shorter = {
        "http://127.0.0.1:7860/": url,
        "max_new_tokens=20": "max_new_tokens=4",
    }  # advice on long texts takes long
    names: dict[str, object] = {}
    for block in blocks("docs/API.md", "python"):
        for old, new in shorter.items():
            block = block.replace(old, new)
        exec(compile(block, "docs/API.md", "exec"), names)  # noqa: S102
    said = capsys.readouterr().out
    assert "plain" in said and "rules cactus: delta must be from 0 to 10 nats; got 99." in said
    assert len(names["sweep"]["rows"]) == 4  # plain, sps and two values of cactus
    called = [block for block in blocks("docs/API.md", "sh") if "curl" in block]
    assert len(called) == 2
    for block in called:
        assert last(bash(block.replace("http://127.0.0.1:7860", url.rstrip("/")))).keys() & {"lanes", "output_law"}


def test_the_calls_of_the_docs_are_those_there_are(served):
    """The table in docs/API.md names every call with its arguments."""
    listed = httpx.get(f"{served[0]}gradio_api/info").json()["named_endpoints"]
    text = (ROOT / "docs" / "API.md").read_text(encoding="utf-8")
    for name, about in listed.items():
        (row,) = [
            row for row in text.splitlines() if row.startswith("|") and f"`{name.lstrip('/')}`" in row.split("|")[1]
        ]
        for argument in about["parameters"]:
            assert re.search(rf"\b{argument['parameter_name']}\b", row), (name, argument["parameter_name"])


def test_a_language_model_has_one_tool(served):
    """Where the library for MCP is installed: a tool, `compare`, which answers once, with all of it."""
    mcp = pytest.importorskip("mcp", reason="mcp is not installed")
    from mcp.client.streamable_http import streamablehttp_client

    async def asked():
        async with streamablehttp_client(f"{served[0]}gradio_api/mcp/") as (reading, writing, _):
            async with mcp.ClientSession(reading, writing) as session:
                await session.initialize()
                tools = (await session.list_tools()).tools
                told = await session.call_tool("compare", {"prompt": PROMPT, "rules": ["sps"], "max_new_tokens": 4})
                refused = await session.call_tool("compare", {"prompt": " "})
                return tools, told, refused

    assert endpoints.mcp()
    tools, told, refused = asyncio.run(asked())
    assert [tool.name for tool in tools] == ["compare"]
    assert all(about["description"] for about in tools[0].inputSchema["properties"].values())
    assert not told.isError and "'finished': 'length'" in told.content[0].text
    assert refused.isError and "The prompt is empty" in refused.content[0].text


def test_the_settings_of_the_page_are_code(served, chromium):
    """Export, Code: what is copied there writes the text that the page would write, whatever stands in the prompt."""
    prompt = 'It\'s "odd" $(touch x) `x` \\ \u202e\u0007\n😀'
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    tab, wrong = watched(context, served[0])
    tab.goto(served[0])
    until(tab, "window.specviz?.live?.wire() && window.specviz.state.run")
    tab.evaluate("prompt => { specviz.state.form.prompt = prompt; specviz.emit('form'); }", prompt)
    tab.fill("[data-field=max_new_tokens]", "5")
    tab.click("text=Export")
    tab.click("[role=menuitem]:has-text('Code')")
    until(tab, "document.querySelector('.codedialog[open]')")
    texts = dict(
        tab.eval_on_selector_all("pre.code", "nodes => nodes.map(node => [node.dataset.code, node.textContent])")
    )
    assert serious(tab) == []
    tab.keyboard.press("Escape")
    until(tab, "document.activeElement.textContent === 'Export'")
    context.close()
    assert wrong == []
    assert list(texts) == ["Python", "gradio_client", "curl", "Command line", "vLLM", "transformers"]
    assert "\u202e" not in "".join(texts.values())
    python, asked = {}, {}
    exec(texts["Python"], python)  # noqa: S102
    exec(texts["gradio_client"], asked)  # noqa: S102
    written = [python["run"].text(i) for i in range(len(python["run"].trace.lanes))]
    assert python["run"].trace.prompt == prompt and len(written) == 4
    assert [lane["text"] for lane in asked["answer"]["lanes"]] == written
    assert [lane["text"] for lane in last(bash(texts["curl"]))["lanes"]] == written
    words = bash(f"specviz() {{ printf '%s\\0' \"$@\"; }}\n{texts['Command line']}").split("\0")[:-1]
    options = cli.build_parser().parse_args(words)
    assert (options.prompt, options.max_new_tokens, len(options.rule)) == (prompt, 5, 4)


def test_the_log_and_the_counters_say_what_went_on_and_nothing_of_what_was_written(served, answer):
    """A line for each job, which the counters sum up; never a word of a prompt or of a text."""
    url, desk, log = served
    lines = [json.loads(entry) for entry in log.getvalue().splitlines()]
    keys = ["time", "event", "kind", "outcome", "cause", "waited", "computed", "tokens"]
    assert lines and all(list(entry) == keys for entry in lines)
    text = httpx.get(f"{url}metrics").text
    samples = dict(re.findall(r"^(\w+(?:\{.*\})?) (\S+)$", text, re.MULTILINE))
    for kind in {entry["kind"] for entry in lines}:
        own = [entry for entry in lines if entry["kind"] == kind]
        assert float(samples[f'specviz_tokens_total{{kind="{kind}"}}']) == sum(entry["tokens"] for entry in own)
        for outcome in {entry["outcome"] for entry in own}:
            count = sum(entry["outcome"] == outcome for entry in own)
            assert float(samples[f'specviz_jobs_total{{kind="{kind}",outcome="{outcome}"}}']) == count
    for cause in {entry["cause"] for entry in lines if entry["outcome"] == "refused"}:
        count = sum(entry["cause"] == cause for entry in lines if entry["outcome"] == "refused")
        assert float(samples[f'specviz_refusals_total{{cause="{cause}"}}']) == count
    assert sum(entry["tokens"] for entry in lines if entry["kind"] == "run") >= 3 * 16
    assert float(samples["process_resident_memory_bytes"]) > 1e8
    assert SECRET not in log.getvalue() + text and "magic" not in log.getvalue() + text
    assert httpx.get(f"{url}health").json() == {
        "ok": True, "version": specviz.__version__, "pair": {"state": "ready"}, "waiting": 0,
    }  # fmt: skip
