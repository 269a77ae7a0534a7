"""The command line, `specviz` or `python -m specviz`: the same things as the page without a browser, and the page."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from specviz import __version__, exports, optional, registry, rules, tasks
from specviz.study import sweep
from specviz.types import ModelError, Sampling, Settings


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status: 0, 1 if a trace does not reproduce, 2 for a usage error."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    try:
        return options.run(options) or 0
    except (ValueError, ModelError, ModuleNotFoundError) as error:
        sentence = optional.missing(error)
        if sentence is None and isinstance(error, ModuleNotFoundError):
            raise
        print(f"specviz: {sentence or error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 0
    except FileNotFoundError as error:
        print(f"specviz: there is no file {error.filename!r}", file=sys.stderr)
        return 2
    except OSError as error:
        where = f"{error.filename!r} cannot be used: {error.strerror}" if error.filename else error
        print(f"specviz: {where}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="specviz", description="Run a draft and a verifier model, and see what an acceptance rule does."
    )
    parser.add_argument("--version", action="version", version=f"specviz {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser(
        "generate",
        help="decode a prompt with one acceptance rule",
        epilog=_rule_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    one.add_argument("--rule", default="sps", help="an acceptance rule (see below), or plain for the verifier alone")
    one.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the rule; may be repeated"
    )
    one.set_defaults(run=_generate)
    _run_options(one)

    several = commands.add_parser(
        "compare",
        help="decode a prompt with several rules under shared randomness",
        epilog=_rule_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    several.add_argument(
        "--rule",
        action="append",
        required=True,
        metavar="RULE[:NAME=VALUE,...]",
        help="one lane, for example cactus:delta=0.5; repeat for more; plain is the verifier alone",
    )
    several.set_defaults(run=_compare)
    _run_options(several)

    check = commands.add_parser("verify", help="re-run a saved trace and say whether it reproduces")
    check.add_argument("trace", help="a trace made by --json or downloaded from the page")
    _model_options(check)
    check.set_defaults(run=_verify)

    advice = commands.add_parser("advise", help="from recorded runs to a knob value for each rule")
    advice.add_argument(
        "trace", nargs="+", help="traces of prompts like those to come; the more, the narrower the intervals"
    )
    goal = advice.add_mutually_exclusive_group(required=True)
    goal.add_argument(
        "--spend",
        type=float,
        metavar="D",
        help="the fastest setting that spends at most D nats of KL(output law || verifier) per judged token",
    )
    goal.add_argument(
        "--accept",
        type=float,
        metavar="A",
        help="the least divergent setting that keeps at least A drafted tokens per round",
    )
    advice.add_argument(
        "--rule", action="append", default=[], metavar="RULE", help="only this rule; may be repeated (default: all)"
    )
    advice.add_argument(
        "--draft-length", type=int, metavar="N", help="tokens drafted per round (default: each rule's fastest, 1 to 8)"
    )
    advice.add_argument("--check", action="store_true", help="also run the first of them for real, with fresh seeds")
    _model_options(advice)
    advice.set_defaults(run=_advise)

    asked = commands.add_parser(
        "sweep",
        help="what rules and knob values cost in right answers",
        epilog=_rule_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    asked.add_argument(
        "--rule",
        action="append",
        default=[],
        metavar="RULE[:NAME=VALUE,...]",
        help="a rule; several values of a knob are a point each, for example cactus:delta=0.1,0.3,1; may be repeated (default: sps, cactus and tas)",
    )
    asked.add_argument(
        "--questions",
        type=int,
        default=sweep.QUESTIONS,
        metavar="N",
        help=f"how many questions each point answers (default {sweep.QUESTIONS})",
    )
    asked.add_argument(
        "--family",
        action="append",
        default=[],
        metavar="NAME",
        help=f"only questions of this family; may be repeated ({', '.join(tasks.names())}; default: all)",
    )
    asked.add_argument("--csv", metavar="FILE", help="save the table")
    _setting_options(asked)
    _model_options(asked)
    asked.set_defaults(run=_sweep)

    file = commands.add_parser(
        "export",
        help="make a file of a saved trace, to show or to send on",
        epilog="exports:\n" + "\n".join(f"  {one['name']:<15}{one['summary']} (*{one['suffix']})" for one in exports.words()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    file.add_argument("trace", help="a trace made by --json or downloaded from the page")
    file.add_argument("--as", dest="kind", required=True, metavar="NAME", help="an export (see below)")
    file.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the file to write")
    file.set_defaults(run=_export)

    for name, package, help_text in (
        ("page", "specviz.ui.serve", "serve the page, to open in a browser"),
        ("train", "specviz.training", "train the shipped pair from texts and generated questions"),
        ("bench", "specviz.bench", "measure speed side by side with what one would use instead"),
    ):
        command = commands.add_parser(name, help=help_text)
        module = importlib.import_module(package)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def _run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prompt", required=True, help="the text to go on from")
    parser.add_argument(
        "--style", help="how the prompt is put to the models; the shipped pair knows tiny, tale and task"
    )
    _setting_options(parser)
    parser.add_argument(
        "--json", metavar="FILE", help="save the trace; - writes it to the standard output and nothing else"
    )
    _model_options(parser)


def _setting_options(parser: argparse.ArgumentParser) -> None:
    for cls in (Sampling, Settings):
        for info in registry.knobs(cls):
            kind = _length if info["name"] == "draft_length" else int if info["type"] == "int" else float
            parser.add_argument(
                "--" + info["name"].replace("_", "-"),
                type=kind,
                default=info["default"],
                metavar=info["name"].split("_")[-1].upper(),
                help=f"{info['help']} ({registry.allowed(info)}; default {info['default']})",
            )


def _length(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdigit() else text


def _model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--draft", help="draft model: a folder or a Hub id (default: the shipped pair)")
    parser.add_argument("--verifier", help="verifier model: a folder or a Hub id")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, or auto to spread a model over devices")
    parser.add_argument(
        "--dtype", help="float32, bfloat16 or float16 (default: float32 on CPU, the model's own elsewhere)"
    )


def _rule_help() -> str:
    lines = ["acceptance rules:"]
    for name in rules.names():
        cls = rules.get(name)
        given = ", ".join(f"{k['name']}={k['default']}" for k in registry.knobs(cls))
        lines.append(f"  {name:<15}{given}\n{'':17}{cls.summary}")
    return "\n".join(lines)


def _pair(options):
    from specviz import backends
    from specviz.backends import memory

    for model in (options.draft, options.verifier):
        if model and (found := memory.estimate(model, options.device, options.dtype)):
            print(found.sentence, file=sys.stderr)
    return backends.load_pair(options.draft, options.verifier, device=options.device, dtype=options.dtype)


def _lanes(options, specs: list[str]) -> list[Settings]:
    sampling = Sampling(**{k["name"]: getattr(options, k["name"]) for k in registry.knobs(Sampling)})
    shared = {k["name"]: getattr(options, k["name"]) for k in registry.knobs(Settings)}
    return [
        Settings(rule=None if spec == "plain" else rules.parse(spec), sampling=sampling, **shared) for spec in specs
    ]


def _generate(options) -> int:
    return _run(options, _lanes(options, [options.rule + (":" + ",".join(options.set) if options.set else "")]))


def _compare(options) -> int:
    return _run(options, _lanes(options, options.rule))


def _run(options, lanes: list[Settings]) -> int:
    from specviz.cli import terminal
    from specviz.engine.race import race
    from specviz.record import trace

    pair = _pair(options)
    style = options.style or next(iter(pair.styles), None)
    record = trace.begin(pair, options.prompt, style, lanes)
    quiet = options.json == "-"
    view = terminal.Terminal(record.data, sys.stdout)
    for step in race(pair, record.data["prompt_tokens"], lanes):
        new = record.add(step)
        if not quiet and len(lanes) == 1:
            view.show_round(0, new["round"])
    if quiet:
        sys.stdout.write(record.to_json())
        return 0
    for lane in range(len(lanes) if len(lanes) > 1 else 0):
        view.show_lane(lane)
    view.show_figures()
    if options.json:
        record.save(options.json)
        print(f"Trace saved to {options.json}")
    return 0


def _verify(options) -> int:
    from specviz.record import trace

    record = trace.load(options.trace)
    same, sentence = trace.verify(record, _pair_of(record, options))
    print(sentence)
    return 0 if same else 1


def _advise(options) -> int:
    from specviz.record import trace
    from specviz.study import advise

    records = [trace.load(path) for path in options.trace]
    pair = _pair_of(records[0], options)
    found = advise.advise(
        records, pair, spend=options.spend, accept=options.accept, names=options.rule, draft_length=options.draft_length
    )
    if not found:
        print("No rule reaches that goal on these texts.")
        return 1
    print(
        f"{'rule':44}{'draft length':>13}{'kept per round':>16}{'95 % interval':>16}{'KL, nats':>11}{'speed-up':>10}{'95 % interval':>18}"
    )
    for one in found:
        kept, speed = ("{:.2f} to {:.2f}".format(*interval) for interval in (one.interval, one.speedup_interval))
        print(
            f"{one.rule:44}{one.draft_length:>13}{one.accepted_per_round:>16.2f}{kept:>16}{one.kl:>11.4g}{one.speedup:>9.2f}x{speed:>17}x"
        )
    print(
        "\nKept per round and speed-up are estimated: as if the text stayed the same. KL(output law || verifier) per judged token is exact on these texts."
    )
    if options.check:
        kept, kl, inside = advise.check(found[0], records, pair)
        print(
            f"A real run of {found[0].rule} on the same prompts kept {kept:.2f} per round ({'inside' if inside else 'outside'} the interval) at {kl:.4g} nats (measured)."
        )
    return 0


def _export(options) -> int:
    from specviz.record import trace

    export = exports.make(options.kind)
    record = trace.load(options.trace)
    if options.output.resolve() == Path(options.trace).resolve():
        raise ValueError(f"{options.trace!r} is the trace itself. Give the export a file of its own.")
    export.write(record, options.output)
    print(f"{options.kind.capitalize()} saved to {options.output}")
    return 0


def _sweep(options) -> int:
    from specviz.cli import terminal

    wanted = [rule for spec in options.rule or sweep.DEFAULT if spec != "plain" for rule in sweep.expand(spec)]
    questions = tasks.items(options.family or tasks.names(), options.questions, options.seed)
    (settings,) = _lanes(options, ["plain"])
    shown = 0.0
    found = None
    try:
        for found in sweep.sweep(_pair(options), wanted, questions, settings):
            if found.seconds - shown >= 0.2 or found.done == found.total:
                shown = found.seconds
                left = "" if found.left is None else f", about {found.left:.0f} s left"
                print(
                    f"\r{found.done} of {found.total} texts, {found.seconds:.0f} s{left}".ljust(60),
                    end="",
                    file=sys.stderr,
                    flush=True,
                )
    except KeyboardInterrupt:
        print("\nStopped; what is complete stays.", end="", file=sys.stderr)
    print(file=sys.stderr)
    points = found.points if found else ()
    terminal.show_points(points, sys.stdout)
    if options.csv:
        Path(options.csv).write_text(sweep.csv_text(points), encoding="utf-8")
        print(f"Table saved to {options.csv}")
    return 0 if points else 1


def _pair_of(record, options):
    """The pair named by the options, or else the one that made a trace."""
    from specviz import backends

    if options.draft is None and options.verifier is None:
        ids = [record.data["models"][role]["id"] for role in ("draft", "verifier")]
        options.draft, options.verifier = (None, None) if all(backends.is_shipped(i) for i in ids) else ids
    return _pair(options)
