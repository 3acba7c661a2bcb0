import type { DeviceName } from 'lowrank';

/** What a run is asked to do. */
export interface RunRequest {
  /** The files of a Hugging Face folder. */
  readonly model: readonly File[];
  /** JSONL. */
  readonly rows: string;
  readonly rank: number;
  readonly steps: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly device: DeviceName;
  readonly prompt: string;
}

export type ToWorker = { readonly type: 'run'; readonly request: RunRequest } | { readonly type: 'stop' };

/** What the page hears of a run, in this order; `problem` may come at any time and is the last. */
export type FromWorker =
  | { readonly type: 'status'; readonly text: string }
  | { readonly type: 'device'; readonly text: string }
  | { readonly type: 'before'; readonly text: string }
  | {
      readonly type: 'step';
      readonly step: number;
      readonly steps: number;
      readonly loss: number;
      readonly tokensPerSecond: number;
    }
  | { readonly type: 'after'; readonly text: string }
  | {
      readonly type: 'done';
      readonly steps: number;
      readonly seconds: number;
      readonly files: Readonly<Record<string, Uint8Array>>;
    }
  | { readonly type: 'problem'; readonly text: string };
