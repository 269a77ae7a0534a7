// What the page's scripts speak of, besides the data of a trace (trace.d.ts). See core/store.js, laws/laws.js and
// laws/twins.js for what it means.
type Probs = number[];
type Num = number | string | null | undefined; // a recorded number; Infinity is a word until `finite` has read it
type Knobs = Record<string, any>;

// What `el` makes of "button.quiet", and the attributes that it takes: handlers by "on" and the event's name.
type Made<Spec extends string> =
  (Spec extends `${infer Tag}.${string}` ? Tag : Spec) extends infer Tag
    ? Tag extends keyof HTMLElementTagNameMap
      ? HTMLElementTagNameMap[Tag]
      : Tag extends ""
        ? HTMLDivElement
        : HTMLElement
    : never;
type Attributes<On> = {
  [Name in keyof HTMLElementEventMap as `on${Name}`]?:
    ((event: HTMLElementEventMap[Name] & { currentTarget: On }) => unknown) | null;
} & Record<string, unknown>;

type Inks = Record<string, string>; // the colours of the theme, see core/dom.js

interface Knob {
  name: string;
  type: "int" | "float" | "str";
  default: number | string;
  help: string;
  unit: string;
  low: number;
  high: number | null;
  open_low: boolean;
  scale: "linear" | "log";
  choices: string[] | null;
  form: string | null;
  allowed: string;
}

interface RuleWords {
  servers?: Record<string, string>; // their options that come to the same
  summary: string;
  formula: string;
  helps: string;
  hurts: string;
  source: string;
  lossless: boolean;
  scope: string;
  flips: string | null;
  loose_below: boolean;
  spends: string | null;
  knobs: Knob[];
}

interface DrafterWords {
  servers?: Record<string, string>; // their options that come to the same
  summary: string;
  source: string;
  uses_draft_model?: boolean;
  uses_head?: boolean;
  uses_exit?: boolean;
  uses_lookahead?: boolean;
  branches?: boolean;
  knobs: Knob[];
}

interface Drafter {
  name: string;
  knobs: Record<string, number | string>;
}

interface Facts {
  draft: number;
  verifier: number;
  uniform: number;
  accept: number;
  strict: number;
  entropy: number;
  draftEntropy: number;
  rank: number;
  tv: number;
  js: number;
  draftMax: number;
  verifierMax: number;
  flip: Num;
  klTarget: Num;
  klOutput: number;
  klDraft: number;
}

interface Said {
  accept: number[];
  target: ((drafted: number) => Probs) | null;
  residual: (drafted: number) => Probs;
}

interface Judged extends Said {
  law: Probs;
  acceptance: number;
  kl: number;
}

interface Twin {
  law(verifier: Probs, draft: Probs, knobs: Knobs): Said;
  accept?(facts: Facts, knobs: Knobs): number | null;
  flip?(facts: Facts, knobs: Knobs): number;
  again?(facts: Facts): number;
  whole?: boolean;
  each?: boolean;
  pairwise?: boolean;
  contour?(knobs: Knobs, draft: number): number;
  because?(facts: Facts, knobs: Knobs): string;
  costs?(facts: Facts, knobs: Knobs): { taylor: number; exact: number };
  symbols?: Record<string, string>;
  stroke: [color: string, width: number, dash: string, symbol: string, plotly: string];
  note?: string;
}

interface SetTwin {
  judge(verifier: Probs, draft: Probs, k: number, drawing: string, knobs: Knobs): { law: Probs; acceptance: number };
  spends?: string;
  symbols?: Record<string, string>;
  stroke: Twin["stroke"];
}

interface SetWords {
  summary: string;
  formula: string;
  helps: string;
  hurts: string;
  source: string;
  lossless: boolean;
  drawings: string[];
  knobs: Knob[];
}

type Fate = "accepted" | "relaxed" | "rejected" | "discarded" | "resampled" | "bonus" | "plain";

interface Shape {
  parents: number[];
  depths: number[];
  path: number[];
  depth: number;
  rows: Map<number, number>;
  tree: boolean;
}

interface Token {
  key: number;
  lane: number;
  round: number;
  slot: number;
  id: number;
  text: string;
  shown: string;
  special: boolean;
  code: boolean;
  fate: Fate;
  position: number;
  cut: boolean;
  judged: number;
  uniform: number;
  accept: number;
  strict: number;
  draft: number;
  verifier: number;
}

interface Provenance {
  by: string | null;
  layer: number | null;
  matched: number | null;
  sample: number | null;
  ahead: number | null;
  place: number | null;
  first: number;
  last: number;
  begin: number;
}

interface Round {
  index: number;
  given: RoundData;
  start: number;
  from: number;
  drafted: number;
  to: number;
  first: number;
  tokens: Token[];
  mended: Token[];
  shape: Shape;
}

interface Sums {
  rounds: number;
  drafted: number;
  judged: number;
  kept: number;
  relaxed: number;
  emitted: number;
  kl: number;
  klCount: number;
  target: number;
  targetCount: number;
  seconds: number;
  drafting: number;
  verifying: number;
  emitted2: number;
  paced: number;
  seconds2: number;
}

interface Lane {
  index: number;
  given: LaneData;
  knobs: Knobs;
  rule: string;
  name: string;
  label: string;
  lossless: boolean;
  scope: string;
  drafter: Drafter | null;
  rounds: Round[];
  tokens: Token[];
  sums: Sums[];
  finished: LaneData["finished"];
  reading: (token: Token) => Token[];
}

interface Run {
  trace: TraceData;
  lanes: Lane[];
  span: number;
  special: Set<number>;
}

interface Estimate {
  value: number;
  low: number | null;
  high: number | null;
}

interface Costs {
  verifier: number;
  look: number;
}

interface Column {
  rule: string;
  knobs: Knobs;
  drafter?: Drafter | null;
  from: number | null;
}

interface Wire {
  trigger(event: string, data: unknown): void;
  watch(name: string, changed: () => void): void;
  props: { value: string };
  server: Record<string, (argument: unknown) => Promise<any>>;
}

interface State {
  run: Run | null;
  source: "recorded" | "live" | "imported" | null;
  time: number;
  live: boolean;
  playing: boolean;
  picked: { lane: number; key: number } | null;
  asked: boolean;
  front: number;
  hideCut: boolean;
  withPlain: boolean;
  costs: Costs | null;
  raw: string | null;
  form: Record<string, any>;
  columns: Column[];
}

// Parameters, by role; null where none took part.
interface Sizes {
  draft?: number | null;
  head?: number | null;
  exit?: number | null;
  lookahead?: number | null;
  verifier: number;
}

interface Pair {
  name: string;
  title: string;
  knows: string;
  licence: string;
  parameters: Sizes;
  styles: Record<string, string>;
  sampling: Record<string, number>;
}

// An example, of assets/prompts.json; `recorded`: where its run is.
interface Example {
  name: string;
  text: string;
  pair: string | null;
  style: string | null;
  system?: string | null;
  sampling?: Partial<Sampling>;
  draft_length?: number | string;
  max_new_tokens?: number;
  seed?: number;
  why?: string;
  expected?: string;
  recorded?: string | null;
}

// What the server says of a pair that it has loaded, or the page of one on offer.
interface PairFacts extends Omit<Pair, "name"> {
  name: string | null; // null: models that the page was started with
  system?: string | null;
  drafter?: Drafter;
  notice?: string;
  ids?: string[];
}

// What the playground opens with, see openings.json; `focus`: a rule, and which of its rows.
interface Preset {
  name: string;
  tokens: [name: string, draft: number, verifier: number][];
  drafted: number;
  knobs: Record<string, Knobs[]>;
  focus: [rule: string, row: number];
}

interface SetPreset {
  name: string;
  tokens: Preset["tokens"];
  candidates: number;
  drawing: string;
  knobs: Knobs;
}

interface Boot {
  version: string;
  rules: Record<string, RuleWords>;
  drafters: Record<string, DrafterWords>;
  definitions: Record<string, { label: string; unit: string; kind: string; definition: string }>;
  settings: Knob[];
  lengths: Record<string, string>;
  pairs: Pair[];
  prompts: Example[];
  exports: { name: string; suffix: string; summary: string }[];
  twins: string[];
  sets: Record<string, SetWords>;
  openings: {
    lanes: string[];
    nextLanes: string[];
    nextLines: string[];
    unfolded: string[];
    presets: Record<string, Preset>;
    sets: Record<string, SetPreset>;
  };
  plots: string[];
  plotly: string;
  sweep: SweepWords;
}

interface TreeNode {
  token: Token;
  slot: number;
  depth: number;
  row: number;
  parent: number;
  elder: number;
  hidden: number;
}

// A series of Plotly's, and how a plot is laid out: what the page itself reads of them.
interface Series {
  x?: any[];
  y?: any[];
  name?: string;
  text?: string[] | string;
  error_x?: Whiskers;
  error_y?: Whiskers;
  marker?: Record<string, unknown>;
  customdata?: unknown[];
  [more: string]: unknown;
}

interface Whiskers {
  array: number[];
  arrayminus: number[];
  [more: string]: unknown;
}

interface Layout {
  margin: { l: number; r: number; t: number; b: number };
  xaxis: Record<string, unknown>;
  yaxis: Record<string, unknown>;
  annotations?: { name?: string; [more: string]: unknown }[];
  shapes?: object[];
  [more: string]: unknown;
}

type Cell = string | number | null | undefined; // of a table of numbers

// What a plot shows, see compare/plots.js: Plotly's, or a picture of its own; and a figure that is saved, see
// parts/figure.js.
interface Shown {
  title?: string;
  subtitle: string;
  more?: string;
  kind?: string;
  axes: string[];
}

interface Plotted extends Shown {
  data: Series[];
  layout: Layout;
  rows?: Cell[][];
  draw?: undefined;
}

interface Pictured extends Shown {
  draw(): SVGElement;
  rows: Cell[][];
}

interface Framed {
  title: string;
  foot: (string | null | undefined)[];
}

type Figure = (Plotted | Pictured) & Framed;

// The element that Plotly draws into.
interface Graph extends HTMLElement {
  on(event: string, hear: (detail: any) => void): void;
  data?: Series[];
}

interface Plotly {
  react(graph: HTMLElement, data: Series[], layout: object, config: object): void;
  toImage(figure: object, options: object): Promise<string>;
  Fx: { hover(graph: HTMLElement, points: object[]): void; unhover(graph: HTMLElement): void };
}

interface Window {
  Plotly?: Plotly;
}

// The end of a line, and what stands there.
interface End {
  y: number;
  text: string;
  bold: boolean;
}

// A plot of Compare, see compare/plots.js.
interface Plot {
  title: string;
  place: number;
  draw(ink: Inks, mode: string): Plotted | null;
  modes?: [name: string, words: string][];
  served?(redraw: () => void): HTMLElement;
}

// What a lane is on the page: its nodes, and how far they have come. See compare/lane.js and compare/lanes.js.
interface LaneView {
  column: Column;
  index: number;
  node: HTMLElement;
  text: HTMLElement;
  words: HTMLElement;
  cursor: HTMLElement;
  summary: HTMLElement;
  whatif: HTMLElement;
  voices: HTMLElement;
  knobs: HTMLElement;
  error: HTMLElement;
  status: HTMLElement;
  count: HTMLElement;
  by: DrafterView | null;
  figures: FiguresView;
  verdict: VerdictView;
  given: HTMLElement | null;
  rounds: HTMLElement[];
  shownRounds: number;
  live: number; // the round that is being drafted or checked; -1 without one
  fresh?: HTMLElement; // the round that was just judged
  stamp: string; // of what is shown, and of what the cursor was moved to
  moved?: string;
  spot: { before?: Element; after?: Element | null } | null; // of the cursor
  sat: boolean; // whether there was one
  follows: boolean; // whether the end of the text stays in sight
  sought: boolean; // a token is to be shown as soon as it is there
  wasDirty: boolean; // a knob was turned
  spoke: (string | number)[]; // the voices of its drafter, in the order in which they spoke
}

interface DrafterView {
  choice: HTMLElement;
  knobs: HTMLElement | null;
  ran: HTMLElement;
}

interface FiguresView {
  big: HTMLElement;
  small: HTMLElement;
  more: HTMLElement;
  bar: HTMLElement;
  bars: HTMLElement[];
  parts: Record<string, { node: HTMLElement; value: HTMLElement; badge?: HTMLElement; note?: HTMLElement }>;
  said: Record<string, string[]>; // what is said of a figure besides its definition
}

interface VerdictView {
  node: HTMLElement;
  mark: HTMLElement;
  said: HTMLElement;
  rest: HTMLElement;
  why: HTMLElement;
}

// What core/forest.js has laid out.
interface Forest {
  nodes: TreeNode[];
  root: number;
  rows: number;
  depth: number;
  own: { token: Token; row: number } | null;
}

// A sweep: what was asked, its settings, and what came of each so far; see specviz/study/sweep.py and ui/sweeping.py.
type Measure = "accuracy" | "against_plain" | "accepted_per_round" | "emitted_per_round" | "mean_kl";

interface SweepRequest extends Sampling {
  rules: string[];
  families: string[];
  questions: number;
  draft_length: number;
  seed: number;
}

interface SweepPoint {
  rule: string;
  name: string;
  knobs: Knobs;
}

type SweepRow = SweepPoint &
  Sampling &
  Record<Measure | `${Measure}_low` | `${Measure}_high`, Num> & {
    right: number;
    questions: number;
    draft_length: number;
    max_new_tokens: number;
  };

interface Question {
  prompt: string;
  answer: string;
  text: string;
  right: boolean;
  seed: number;
}

type Outcome = "won" | "lost" | "alike";

interface SweepMessage {
  run?: string;
  asked: SweepRequest;
  points: SweepPoint[];
  rows: SweepRow[];
  csv: string;
  style: string | null;
  done: number;
  total: number;
  seconds?: number;
  left: number | null;
  starting?: number;
  ended?: boolean;
  answers?: {
    questions: Question[];
    rules: Record<string, Record<Outcome, { count: number; texts: Record<string, string> }>>;
  };
}

interface Regime {
  title: string;
  about: string[];
  asked: Record<string, unknown>;
  recorded: string;
}

interface SweepWords {
  asked: SweepRequest & Record<string, unknown>;
  definitions: Record<Measure, { label: string; unit: string; kind: string; definition: string }>;
  families: Record<string, string>;
  name: string | null;
  pair: string | null;
  regimes: Regime[];
}

// What a run is asked for, as it goes to Python, see compare/controls.js: what cannot be a number goes as it was typed.
interface LaneRequest {
  rule: string | null;
  knobs?: Knobs;
  drafter?: Drafter | null;
}

interface RunRequest {
  prompt: string;
  pair: string | null;
  style: string | null;
  system?: string | null;
  temperature: number | string;
  top_k: number | string;
  top_p: number | string;
  draft_length: number | string;
  max_new_tokens: number | string;
  seed: number | string;
  drafter?: Drafter;
  lanes: LaneRequest[];
}

// What a link asks for, see shell/links.js; `at`: the playhead, as a share of the run.
interface Wanted {
  form: Record<string, any>;
  columns: Column[];
  continued: object | null;
  costs?: Costs;
  pick: [lane: number, key: number] | null;
  at: number | null;
  ignored: string[];
}

// A place in the head of the page, see shell/sections.js.
interface Place {
  words: string;
  key: string;
  page: HTMLElement;
  pack(): string;
  unpack(text: string): void;
  opened(): void;
  closed(): void;
}
