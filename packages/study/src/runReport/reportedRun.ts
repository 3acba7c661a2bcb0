/** What a report says of a run: `run.json` has these names, and whoever has more facts adds them. */
export interface ReportedRun {
  /** What the page is called. */
  readonly name: string;
  /** `interrupted`: its process ended without a word. */
  readonly status: 'running' | 'stopped' | 'failed' | 'finished' | 'interrupted';
  /** As ISO 8601 has it. */
  readonly started: string;
  readonly updated: string;
  readonly method: string;
  /** As they were given: `model`, `data`, `evalData`. */
  readonly places: Readonly<Record<string, string>>;
  readonly device: string;
  readonly inputs: readonly ReportedInput[];
  /** By their names, defaults included. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Those of them that were given. */
  readonly given: Readonly<Record<string, unknown>>;
  /** Optimizer steps in all. */
  readonly steps: number;
  /** Seconds of training until now. */
  readonly seconds: number;
  /** The lowest loss of an evaluation. */
  readonly best: { readonly step: number; readonly eval_loss: number; readonly checkpoint: string | null } | null;
  readonly stopped_by: 'steps' | 'early-stopping' | 'signal' | null;
  /** Of the result, on held-out rows. */
  readonly eval_loss: number | null;
  readonly error: string | null;
  /** Where it went on after a stop: the step of the checkpoint, and when. */
  readonly resumes?: readonly { readonly step: number; readonly at: string }[];
  readonly trained_parameters?: number | null;
  /** Of the file of weights that was saved. */
  readonly file_bytes?: number | null;
  readonly memory_peak_bytes?: number | null;
}

/** A file or a folder that the run reads. */
export interface ReportedInput {
  readonly role: string;
  readonly path: string;
  readonly files: readonly { readonly name: string; readonly bytes: number; readonly sha256: string }[];
}

/** What the model writes after a prompt, before and after training. */
export interface RunSample {
  readonly prompt: string;
  readonly before: string | null;
  readonly after: string | null;
  /** What the held-out row says; null where it says nothing. */
  readonly wanted: string | null;
}
