import type { DeviceName } from 'lowrank';
import type { RemoteModel, Trainer } from 'lowrank/worker';
import { startTrainer } from 'lowrank/worker';

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

/** What the page hears of a run, in this order. */
export type RunEvent =
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
    };

interface RunContext {
  readonly request: RunRequest;
  readonly tell: (event: RunEvent) => void;
  readonly signal: AbortSignal;
}

const newTokens = 48;

/**
 * Loads, generates, trains, generates again and gives the adapter's files: all that the page can do, with no page in
 * sight. A worker computes; when it is disposed of, all is free again.
 */
export async function run(context: RunContext): Promise<void> {
  context.tell({ type: 'status', text: 'Loading the model …' });
  const trainer = await startTrainer();
  try {
    await runWith(trainer, context);
  } finally {
    trainer.dispose();
  }
}

async function runWith(trainer: Trainer, { request, tell, signal }: RunContext): Promise<void> {
  const model = await trainer.loadModel(request.model, { device: request.device });
  tell({ type: 'device', text: describeDevice(model, request.device) });
  const complete = (): Promise<string> => model.generate(request.prompt, { maxNewTokens: newTokens }).text();

  tell({ type: 'status', text: 'Writing with the model as it is …' });
  tell({ type: 'before', text: await complete() });

  tell({ type: 'status', text: 'Compiling the training step …' });
  // #region train
  const { steps, batchSize, learningRate, rank } = request;
  const training = await trainer.fineTune(model, {
    data: new Blob([request.rows]),
    r: rank,
    alpha: 2 * rank,
    targetModules: 'all-linear',
    steps,
    batchSize,
    learningRate,
    schedule: 'cosine',
    warmup: Math.min(20, Math.floor(steps / 10)),
    signal,
    onStep: ({ step, loss, tokensPerSecond }) => tell({ type: 'step', step, steps, loss, tokensPerSecond }),
  });
  // #endregion train

  tell({ type: 'status', text: 'Writing with the trained model …' });
  tell({ type: 'after', text: await complete() });
  // In the order that a reader looks for them; they are written in the other one.
  const files = Object.fromEntries(Object.entries(await training.files()).reverse()) as Record<string, Uint8Array>;
  tell({ type: 'done', steps: training.steps, seconds: training.seconds, files });
}

function describeDevice({ device: { name, description } }: RemoteModel, asked: DeviceName): string {
  const kind = name === 'webgpu' ? 'WebGPU' : 'CPU';
  const note = asked === 'auto' && name === 'cpu' ? ' No GPU was found, so the CPU does the work.' : '';
  return `${kind}: ${description}.${note}`;
}
