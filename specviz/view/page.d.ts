// What the page's scripts speak of, besides the data of a trace (trace.d.ts). See core/store.js, laws/laws.js and
// laws/twins.js for what it means.
type Probs = number[];
type Num = number | string | null | undefined; // a recorded number; Infinity is a word until `finite` has read it
type Knobs = Record<string, any>;

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
  summary: string;
  source: string;
  uses_draft_model?: boolean;
  uses_head?: boolean;
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
  source: string | null;
  time: number;
  live: boolean;
  playing: boolean;
  picked: { lane: number; key: number } | null;
  front: number;
  hideCut: boolean;
  withPlain: boolean;
  costs: Costs | null;
  raw: string | null;
  form: Record<string, any>;
  columns: Column[];
}

interface Pair {
  name: string;
  title: string;
  knows: string;
  licence: string;
  parameters: { draft: number; verifier: number };
  styles: Record<string, string>;
  sampling: Record<string, number>;
}

interface Boot {
  rules: Record<string, RuleWords>;
  drafters: Record<string, DrafterWords>;
  definitions: Record<string, { label: string; unit: string; kind: string; definition: string }>;
  settings: Knob[];
  lengths: Record<string, string>;
  pairs: Pair[];
  prompts: any[];
  exports: { name: string; suffix: string; summary: string }[];
  twins: string[];
  sets: Record<string, SetWords>;
  openings: {
    lanes: string[];
    nextLanes: string[];
    nextLines: string[];
    unfolded: string[];
    presets: Record<string, { name: string; tokens: [string, number, number][]; drafted: number; knobs: any; focus: any }>;
    sets: Record<string, any>;
  };
  plots: string[];
  plotly: string;
  sweep: any;
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
