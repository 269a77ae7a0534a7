// The same run from code: texts for the settings that the page sends, see controls.settings. Pure.

// A control or a character that turns the direction of a text around is spelled as its number: what is copied is what is seen.
const unseen = /[\p{Cc}\p{Cf}\u2028\u2029]/u;
const each = new RegExp(unseen, "gu");
/** @param {string} text */
const units = (text) =>
  [...Array(text.length).keys()].map((i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, "0")}`).join("");

// A value as JSON, and a text as Python reads it too.
/** @param {unknown} value */
const json = (value) => JSON.stringify(value).replace(each, units);

// A text as one word of a shell; what is not seen is spelled in bash's own way.
/** @param {string} text */
function shell(text) {
  if (/^[\w:=.,@/+-]+$/.test(text)) return text;
  if (!unseen.test(text.replaceAll("\n", ""))) return `'${text.replaceAll("'", "'\\''")}'`;
  const spelled = text.replace(/[\\']/g, "\\$&").replaceAll("\n", "\\n");
  return `$'${spelled.replace(each, (found) => `\\U${Number(found.codePointAt(0)).toString(16).padStart(8, "0")}`)}'`;
}

// "ngram:longest=4": a rule or a drafter.
/** @param {Pick<Drafter, "name"> & { knobs?: Knobs }} given */
export function spec({ name, knobs }) {
  const given = Object.entries(knobs ?? {}).map(([knob, value]) => `${knob}=${value}`);
  return `${name}${given.length ? `:${given.join(",")}` : ""}`;
}

// "cactus:delta=0.5,solver=taylor@ngram"; no rule is plain decoding.
/** @param {LaneRequest} laneRequest */
export function lane({ rule, knobs, drafter }) {
  if (!rule) return "plain";
  return `${spec({ name: rule, knobs })}${drafter ? `@${spec(drafter)}` : ""}`;
}

// The arguments of `compare`, by name; what is left open is left out.
/** @param {RunRequest} settings */
export function args(settings) {
  const { drafter } = settings;
  const { prompt, pair, style, system, temperature, top_k, top_p, draft_length, max_new_tokens, seed } = settings;
  const all = {
    prompt,
    rules: settings.lanes.map(lane),
    drafter: drafter ? spec(drafter) : null,
    pair,
    style,
    system,
    temperature,
    top_k,
    top_p,
    draft_length,
    max_new_tokens,
    seed,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null && value !== undefined));
}

const LINES = [
  ["drafter", "pair", "style", "system"],
  ["temperature", "top_k", "top_p"],
  ["draft_length", "max_new_tokens", "seed"],
];
const WIDE = 76; // characters of a line that needs no scrolling

// The arguments of a call in Python, some to a line.
/** @param {Record<string, unknown>} given */
function call(given) {
  const rules = [given.rules].flat().map(json);
  const listed = `rules=[${rules.join(", ")}]`;
  const lines = [
    json(given.prompt),
    listed.length < WIDE ? listed : `rules=[\n        ${rules.join(",\n        ")},\n    ]`,
  ];
  for (const names of LINES) {
    const named = names.filter((name) => name in given).map((name) => `${name}=${json(given[name])}`);
    if (named.length) lines.push(named.join(", "));
  }
  return lines.map((line) => `    ${line},\n`).join("");
}

// [{name, text}]: the settings as Python, gradio_client, curl and a command; `page` is the address of the page, null where
// there is none to ask.
/**
 * @param {RunRequest} settings
 * @param {string | null} page
 */
export function snippets(settings, page) {
  const given = args(settings);
  const all = [
    { name: "Python", text: `import specviz\n\nrun = specviz.compare(\n${call(given)})\nprint(run)\n` },
    page ? { name: "gradio_client", text: client(given, page) } : null,
    page ? { name: "curl", text: curl(given, page.replace(/\/$/, "")) } : null,
    { name: "Command line", text: `specviz compare ${options(given).join(" \\\n    ")}\n` },
  ];
  return all.filter((one) => one !== null);
}

/**
 * @param {Record<string, unknown>} given
 * @param {string} page
 */
function client(given, page) {
  return [
    "from gradio_client import Client\n",
    `client = Client(${json(page)}, verbose=False)`,
    `answer = client.predict(\n${call(given)}    api_name="/compare",\n)`,
    'for lane in answer["lanes"]:',
    '    print(lane["rule"], lane["figures"]["accepted_per_round"], lane["text"])\n',
  ].join("\n");
}

/**
 * @param {Record<string, unknown>} given
 * @param {string} page
 */
function curl(given, page) {
  return [
    `page=${shell(page)}`,
    "event=$(curl -s $page/gradio_api/call/v2/compare -H 'Content-Type: application/json' \\",
    `    -d ${shell(body(given))} | cut -d '"' -f 4)`,
    "curl -sN $page/gradio_api/call/compare/$event\n",
  ].join("\n");
}

/** @param {Record<string, unknown>} given */
const body = (given) =>
  `{${Object.entries(given)
    .map(([name, value]) => `${json(name)}: ${json(value)}`)
    .join(",\n         ")}}`;

/** @param {Record<string, unknown>} given */
function options(given) {
  const pairs = Object.entries(given).flatMap(([name, value]) =>
    [value].flat().map((one) => ({ name, value: String(one) })),
  );
  return pairs.map(({ name, value }) => {
    const option = name === "rules" ? "--rule" : `--${name.replaceAll("_", "-")}`;
    return `${option}${value.startsWith("-") ? "=" : " "}${shell(value)}`;
  });
}
