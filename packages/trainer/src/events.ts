/** What happens while training, for whoever shows it; the trainer itself prints nothing. */
export type TrainEvent = StartedEvent | StepEvent | EvaluatedEvent | SavedEvent | InterruptedEvent;

export interface StartedEvent {
  readonly type: 'started';
  readonly steps: number;
  readonly trainedParameters: number;
}

/** One optimizer step. Comes a step or two after it was asked for: results are read back without waiting for them. */
export interface StepEvent {
  readonly type: 'step';
  readonly step: number;
  /** Σ of the losses of the window's label tokens / their number. */
  readonly loss: number;
  /** Norm of the whole gradient before clipping. */
  readonly gradNorm: number;
  readonly learningRate: number;
  /** Tokens of the window, prompts included and padding not. */
  readonly tokens: number;
  readonly tokensPerSecond: number;
}

export interface EvaluatedEvent {
  readonly type: 'evaluated';
  /** Steps taken before. */
  readonly step: number;
  readonly loss: number;
  /** Label tokens. */
  readonly tokens: number;
  /** Loss of the reference on the same rows, where the session has one. */
  readonly referenceLoss?: number;
}

export interface SavedEvent {
  readonly type: 'saved';
  readonly step: number;
  readonly place: string;
}

/** The signal was aborted: the step in progress is finished, and what was learned is saved. */
export interface InterruptedEvent {
  readonly type: 'interrupted';
  readonly step: number;
}
