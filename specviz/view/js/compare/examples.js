// The examples, and the recorded runs of those that have one.
import { boot, offline, written } from "specviz/core/boot.js";
import { calm } from "specviz/core/dom.js";
import { emit } from "specviz/core/events.js";
import { pick, setTime, show, shown, state } from "specviz/core/state.js";
import { worth } from "specviz/core/store.js";
import * as models from "specviz/compare/models.js";
import * as notices from "specviz/compare/notices.js";
import * as timeline from "specviz/compare/timeline.js";

/** @type {Record<string, Promise<string>>} */
const fetched = {};

// The recorded run of an example, or null; fetched once. A replay holds its runs, each in an element of that name.
/** @param {Example | null} [example] */
export function recorded(example) {
  const url = example?.recorded;
  if (!url) return null;
  if (offline) return Promise.resolve(written(url));
  fetched[url] =
    fetched[url] ||
    fetch(url).then((answer) => {
      if (!answer.ok) throw new Error(String(answer.status));
      return answer.text();
    });
  return fetched[url];
}

export const firstExample = () => boot.prompts.find((one) => one.recorded) ?? null;

/** @param {Example} example */
export async function choose(example) {
  if (state.live) return;
  notices.clearErrors();
  const found = recorded(example);
  if (!found) {
    models.take(example.pair);
    const {
      text: prompt,
      system = null,
      sampling = {},
      draft_length = state.form.draft_length,
      max_new_tokens = state.form.max_new_tokens,
    } = example;
    Object.assign(state.form, {
      prompt,
      system,
      ...sampling,
      draft_length,
      max_new_tokens,
      style: models.style(example.style),
    });
    emit("form");
    notices.notice("Not recorded: press Run to see it.");
    return;
  }
  try {
    display((await found) ?? "", true);
    notices.notice("");
  } catch {
    notices.error("prompt", "The recorded run could not be fetched. Press Run to make it again.");
  }
}

// A recorded run, with a token worth looking at already selected.
/**
 * @param {string} text
 * @param {boolean} autoplay
 * @param {Column[]} [columns]
 */
export function display(text, autoplay, columns) {
  timeline.pause();
  show(JSON.parse(text), "recorded", text, columns);
  const lossy = shown().filter(({ lane }) => !lane.lossless);
  const focus = lossy[lossy.length - 1] || shown().find(({ lane }) => lane.rule !== "plain");
  if (focus) {
    const [, found] = worth(focus.lane);
    state.front = focus.index;
    emit("columns");
    if (found[0]) pick(focus.lane.index, found[0].key, false);
  }
  if (autoplay && !calm()) timeline.play(0);
  else setTime(Infinity);
}
