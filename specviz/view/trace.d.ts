// Written by `python -m specviz.view.types` from the Python types of a trace. Infinity is the string "Infinity".

interface SliceData {
  tokens: number[];
  draft: number[];
  verifier: number[];
  target: number[] | null;
  residual: number[];
  output: number[];
}

interface ProvenanceData {
  by?: (string | null)[];
  copied_from?: (number | null)[];
  matched?: (number | null)[];
  layer?: (number | null)[];
  sample?: (number | null)[];
  ahead?: (number | null)[];
}

interface CandidatesData {
  behind: number[];
  kept_chance: number[];
  optimum: (number | null)[];
}

interface RoundData {
  start: number;
  drafted: number[];
  kept: number;
  emitted: number[];
  origin: "accepted" | "resampled" | "bonus" | null;
  judged: Record<string, (number | null | string)[]>;
  slices: SliceData[];
  draft_seconds: number;
  verify_seconds: number;
  seconds: number;
  clock: number;
  parents?: number[];
  path?: number[];
  node?: number[];
  provenance?: ProvenanceData;
  chosen?: boolean[];
  law_prob?: number[];
  candidates?: CandidatesData;
}

interface LaneData {
  rule: string | null;
  name: string;
  knobs: Record<string, number | string>;
  lossless: boolean;
  scope: string;
  draft_length: number | string;
  rounds: RoundData[];
  finished: "end of text" | "length" | "stopped" | null;
  drafter?: string;
}

interface Sampling {
  temperature: number;
  top_k: number;
  top_p: number;
}

interface ModelFacts {
  id: string;
  revision: string;
  parameters: number;
  dtype: string;
  backend: string;
}

interface Continued {
  prompt_length: number;
  position: number;
  forced: number | null;
}

interface TraceData {
  prompt: string;
  style: string | null;
  prompt_tokens: number[];
  seed: number;
  max_new_tokens: number;
  sampling: Sampling;
  models: Record<string, ModelFacts>;
  versions: Record<string, string>;
  lanes: LaneData[];
  pieces: Record<string, string>;
  continued?: Continued | null;
  system?: string | null;
  special?: number[];
  samples?: number[][];
}
