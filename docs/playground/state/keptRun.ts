import type { RunState } from 'lowrank';
import type { MetricsLine } from '@lowrank/study/charts';
import type { Row } from './rows';
import type { Settings } from './settings';

/** What the model wrote after the prompt, with the weights of a step; step 0 is the base. */
export interface Sample {
  readonly step: number;
  readonly text: string;
}

/** A run as it is kept between visits: what it was begun with, what was seen, and the state to go on from. */
export interface KeptRun {
  readonly name: string;
  readonly settings: Settings;
  readonly train: readonly Row[];
  readonly held: readonly Row[];
  /** Held-out loss of the base. */
  readonly heldBefore: number | undefined;
  readonly lines: readonly MetricsLine[];
  readonly samples: readonly Sample[];
  readonly seconds: number;
  /** Undefined before the first was saved, and when the run is over. */
  readonly state: KeptState | undefined;
  readonly isOver: boolean;
}

type StateTensor = RunState['tensors'] extends ReadonlyMap<string, infer Value> ? Value : never;
type HostArray = Awaited<ReturnType<StateTensor['read']>>;

/** A state with its numbers in it: what a browser's database takes. */
export interface KeptState extends Omit<RunState, 'tensors'> {
  readonly tensors: ReadonlyMap<string, Pick<StateTensor, 'dtype' | 'shape'> & { readonly values: HostArray }>;
}

/** Reads the tensors of a state, which are those of its step only until training goes on. */
export async function keptState(state: RunState): Promise<KeptState> {
  const tensors = new Map<string, KeptState['tensors'] extends ReadonlyMap<string, infer Value> ? Value : never>();
  for (const [name, tensor] of state.tensors) {
    const values = (await tensor.read()).slice() as HostArray;
    tensors.set(name, { dtype: tensor.dtype, shape: tensor.shape, values });
  }
  return { ...state, tensors };
}

export function runState({ tensors, ...state }: KeptState): RunState {
  return {
    ...state,
    tensors: new Map(
      [...tensors].map(([name, { values, ...tensor }]) => [name, { ...tensor, read: () => Promise.resolve(values) }]),
    ),
  };
}

/** What was seen up to a step: a run that goes on from it sees the rest again. */
export function upTo<Seen extends { readonly step?: unknown }>(step: number, seen: readonly Seen[]): Seen[] {
  return seen.filter((one) => typeof one.step === 'number' && one.step <= step);
}
