"""Prompts put to a model as its own chat template puts them. A template is a program that came with the model: it runs in
jinja2's sandbox, and the token ids are those of transformers' `apply_chat_template(sanitize_control_tokens=True)`, which
takes seconds to import.

What a person writes cannot pretend to be the template: control tokens in it are marked before the template sees it, and
become the ids of their characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import Any, NoReturn

Encode = Callable[[str], list[int]]
_START, _END = "\U0010fff0", "\U0010fff1"  # around a control token of a message; both stand for nothing else
_PROBE = "What a system message says."


class Refused(Exception):
    """What a template, or the library that runs it, says against a prompt."""


class Chat:
    """A chat template over one tokenizer.

    template  its source
    named     what it may ask for by name, such as bos_token
    added     the tokenizer's added tokens, and whether each is special
    encode    ids of a text whose added tokens count, and nothing put in front
    plain     ids of a text in which added tokens are characters
    """

    def __init__(
        self, template: str, named: Mapping[str, object], added: Mapping[str, bool], encode: Encode, plain: Encode
    ):
        self._source, self._named, self._added = template, dict(named), dict(added)
        self._encode, self._plain = encode, plain

    @cached_property
    def system(self) -> str | None:
        """The system message that the template puts by itself, "" if it puts none; None if it takes none at all."""
        try:
            own, asked = (self._render("x", system) for system in (None, _PROBE))
        except Refused:
            return None
        before, there, after = asked.partition(_PROBE)
        if not there:
            return None
        is_inside = own.startswith(before) and own.endswith(after) and len(own) >= len(before) + len(after)
        return own[len(before) : len(own) - len(after)] if is_inside else ""

    def ids(self, text: str, system: str | None = None) -> list[int]:
        """Ids of `text` as a person's message, and of what comes in front of the model's answer. `system`: the message
        before it; None is what the template puts by itself, "" none. Refused says what the template has against it."""
        if system is not None and self.system is None:
            raise Refused("it takes no system message")
        if system == "" == self.system:
            system = None
        control, longest = self._patterns
        marked = [
            None if words is None else control.sub(rf"{_START}\g<0>{_END}", re.sub(f"[{_START}{_END}]", "", words))
            for words in (text, system)
        ]
        # Marked tokens are at the odd places; None there is a mark whose partner the template took away.
        first, *parts = re.split(
            f"{_START}({longest}){_END}|[{_START}{_END}]", self._render(marked[0] or "", marked[1])
        )
        ids = self._encode(first)
        for number, part in enumerate(parts):
            if not part:
                continue
            is_text = number % 2 == 0
            more = self._behind(part, self._plain if is_text else self._encode)
            if is_text and more == self._encode(part):
                raise Refused(f"it takes {part!r} for its own even where a person writes it")
            ids += more
        return ids

    def _behind(self, part: str, encode: Encode) -> list[int]:
        """Ids of a part in the midst of a text: some tokenizers put a space at the begin, so there is a newline first."""
        newline, ids = self._encode("\n"), encode("\n" + part)
        return ids[len(newline) :] if ids[: len(newline)] == newline else encode(part)

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], str]:
        """What finds the control tokens, and the expression of any added token."""
        from jinja2 import nodes

        with _refusing():
            tree = self._environment.parse(self._source)
        words = {node.data for node in tree.find_all(nodes.TemplateData)}
        words |= {node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str)}
        spelt = "\0".join(words)
        control = [t for t, special in self._added.items() if special or (t in spelt and not t.isspace())]
        return re.compile(_any_of(control)), _any_of(self._added)

    def _render(self, text: str, system: str | None) -> str:
        messages = [{"role": "user", "content": text}]
        if system is not None:
            messages.insert(0, {"role": "system", "content": system})
        with _refusing():
            return str(
                self._template.render(
                    messages=messages, tools=None, documents=None, add_generation_prompt=True, **self._named
                )
            )

    @cached_property
    def _template(self) -> Any:
        return self._environment.from_string(self._source)

    @cached_property
    def _environment(self) -> Any:
        """Where templates run, with the words that transformers gives them."""
        from jinja2 import TemplateError, nodes
        from jinja2.exceptions import SecurityError
        from jinja2.ext import Extension
        from jinja2.parser import Parser
        from jinja2.sandbox import ImmutableSandboxedEnvironment
        from jinja2.utils import Namespace

        class Generation(Extension):
            """{% generation %} marks what a model is trained on, and changes nothing."""

            tags = {"generation"}

            def parse(self, parser: Parser) -> list[nodes.Node]:
                next(parser.stream)
                return parser.parse_statements(("name:endgeneration",), drop_needle=True)

        class Guarded(Namespace):
            """A namespace without names that lead out of the sandbox."""

            def __init__(*args: Any, **more: Any):
                Namespace.__init__(args[0], dict(*args[1:], **more))
                for name in dict(*args[1:], **more):
                    _refuse_private(name)

            def __setitem__(self, name: str, value: Any) -> None:
                _refuse_private(name)
                super().__setitem__(name, value)

        def _refuse_private(name: object) -> None:
            if isinstance(name, str) and name.startswith("_"):
                raise SecurityError(f"a chat template may not call anything {name!r}")

        def refuse(message: object) -> NoReturn:
            raise TemplateError(str(message))

        def written(value: Any, ensure_ascii: bool = False, **more: Any) -> str:
            return json.dumps(value, ensure_ascii=ensure_ascii, **more)

        class Dict:
            """The type without its attributes."""

            def __call__(self, *args: Any, **more: Any) -> dict[Any, Any]:
                return dict(*args, **more)

            def fromkeys(self, *args: Any) -> dict[Any, Any]:
                return dict.fromkeys(*args)

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = written
        environment.globals |= {
            "raise_exception": refuse,
            "strftime_now": lambda form: datetime.now().strftime(form),
            "dict": Dict(),
            "namespace": Guarded,
        }
        return environment


@contextmanager
def _refusing() -> Iterator[None]:
    """Whatever a template raises, which may be anything, becomes Refused."""
    try:
        yield
    except Exception as error:
        raise Refused(str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__) from error


def _any_of(words: Any) -> str:
    """An expression for any of some words, the longest first; without any, one that is never found."""
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True))) or "(?!)"
