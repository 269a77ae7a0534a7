"""A long run comes to the page in slices; in the end it is all there, as if it had come at once."""

from __future__ import annotations

from tests.page.test_page import pytestmark  # noqa: F401  (where there is no pair)
from tests.support.browser import until

# The run on display forty times over; its first lane is longer than what is put on the page at once.
LONG = """() => {
  const trace = JSON.parse(specviz.state.raw);
  trace.lanes.forEach(lane => {
    const { rounds } = lane, all = rounds.reduce((sum, round) => sum + round.emitted.length, 0), { clock } = rounds.at(-1);
    lane.rounds = Array.from({ length: 40 }, (_, i) => i).flatMap(i => rounds.map(round => ({ ...round, start: round.start + i * all, clock: round.clock + i * clock })));
  });
  specviz.timeline.pause();
  specviz.show(trace, 'imported', JSON.stringify(trace));
  specviz.setTime(specviz.state.run.span / 2);
  specviz.pick(0, specviz.state.run.lanes[0].tokens.length - 2);
  return document.querySelectorAll('.sv .lane .t').length;
}"""
# What stands in the lanes, and what should: every token by its fate, in rounds, those behind the playhead to come.
SEEN = """[...document.querySelectorAll('.sv .lane .text')].map(text => [...text.querySelectorAll('.round')].map(round =>
  [round.classList.contains('future'), ...[...round.querySelectorAll('.t')].map(node => [Number(node.dataset.k), node.classList[1]])]))"""
MEANT = """specviz.shown().map(({ lane }) => { const now = specviz.store.at(lane, specviz.state.time), live = ['drafting', 'checking'].includes(now.phase) ? now.done : -1;
  return lane.rounds.map(round => [round.index >= now.done && round.index !== live, ...round.tokens.map(token => [token.key, token.fate])]); })"""


def test_a_long_run_is_all_there_in_the_end(tab):
    everything = "specviz.shown().reduce((sum, { lane }) => sum + lane.tokens.length, 0)"
    at_once = tab.evaluate(LONG)
    assert 0 < at_once < tab.evaluate(everything), "the first slice"
    tab.evaluate("specviz.setTime(specviz.state.run.span / 3)")  # while the rest comes
    until(tab, f"document.querySelectorAll('.sv .lane .t').length === {everything}")
    assert tab.evaluate(SEEN) == tab.evaluate(MEANT)
    until(tab, "document.querySelector('.sv .lane .text').scrollTop > 0")  # what was picked has come, and is in sight
    assert tab.evaluate("document.querySelector('.sv .t.selected').dataset.k") == str(
        tab.evaluate("specviz.state.picked.key")
    )
    tab.evaluate("specviz.setTime(Infinity)")
    assert tab.locator(".sv .round.future").count() == 0
