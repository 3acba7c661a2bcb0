import type { Backend } from 'lowrank';
import { chooseBackend, fineTune, loadModel } from 'lowrank';
import type { FromWorker, RunRequest } from './protocol';

const newTokens = 48;

/**
 * Loads, generates, trains, generates again and gives the adapter's files: all that the page can do, with no page in
 * sight.
 */
export async function run(request: RunRequest, tell: (event: FromWorker) => void, signal: AbortSignal): Promise<void> {
  tell({ type: 'status', text: 'Looking for a device …' });
  const { backend, note } = await chooseBackend(request.device);
  try {
    tell({ type: 'device', text: describeDevice(backend, note) });
    await runOn(backend, { request, tell, signal });
  } finally {
    backend.dispose();
  }
}

interface RunContext {
  readonly request: RunRequest;
  readonly tell: (event: FromWorker) => void;
  readonly signal: AbortSignal;
}

async function runOn(backend: Backend, { request, tell, signal }: RunContext): Promise<void> {
  tell({ type: 'status', text: 'Loading the model …' });
  const model = await loadModel(request.model, { device: backend });
  const complete = (): Promise<string> => model.generate(request.prompt, { maxNewTokens: newTokens }).text();

  tell({ type: 'status', text: 'Writing with the model as it is …' });
  tell({ type: 'before', text: await complete() });

  tell({ type: 'status', text: 'Compiling the training step …' });
  // #region train
  const { steps, batchSize, learningRate, rank } = request;
  const training = await fineTune(model, {
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
  await model.dispose();
}

function describeDevice({ name, description }: Backend, note: string | undefined): string {
  const kind = name === 'webgpu' ? 'WebGPU' : 'CPU';
  return `${kind}: ${description}.${note === undefined ? '' : ' No GPU was found, so the CPU does the work.'}`;
}
