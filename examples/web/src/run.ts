import type { Backend, CausalModel, Dataset, TextTokenizer } from 'lowrank';
import {
  addAdapter,
  chooseBackend,
  filesFrom,
  generate,
  largestBatches,
  loadDataset,
  loadModel,
  loadTokenizer,
  loraConfig,
  LowrankError,
  saveAdapter,
  train,
  trainingBatches,
} from 'lowrank';
import type { FromWorker, RunRequest } from './protocol';

const newTokens = 48;

/**
 * Loads, generates, trains, generates again and gives the adapter's files: all that the page can do, with no page in
 * sight.
 */
export async function run(request: RunRequest, post: (event: FromWorker) => void, signal: AbortSignal): Promise<void> {
  post({ type: 'status', text: 'Looking for a device …' });
  const { backend, note } = await chooseBackend(request.device);
  try {
    post({
      type: 'device',
      text:
        `${backend.name === 'webgpu' ? 'WebGPU' : 'CPU'}: ` +
        `${backend.description}.${note === undefined ? '' : ' No GPU was found, so the CPU does the work.'}`,
    });
    await runOn(backend, request, post, signal);
  } finally {
    backend.dispose();
  }
}

// oxlint-disable-next-line max-params -- the arguments of run, with the backend found
async function runOn(
  backend: Backend,
  request: RunRequest,
  post: (event: FromWorker) => void,
  signal: AbortSignal,
): Promise<void> {
  post({ type: 'status', text: 'Loading the model …' });
  const model = await loadModel(filesFrom(request.model, 'the model'));
  const tokenizer = await readTokenizer(request.model);
  const { rows } = await readRows(request.rows, tokenizer, model);

  post({ type: 'status', text: 'Writing with the model as it is …' });
  post({ type: 'before', text: await complete({ model, tokenizer, backend, prompt: request.prompt }) });

  post({ type: 'status', text: 'Compiling the training step …' });
  // #region train
  const config = loraConfig({ r: request.rank, alpha: 2 * request.rank, targetModules: 'all-linear' });
  const { parameters } = await addAdapter(model, config);
  const { steps, batchSize, learningRate } = request;
  const result = await train({
    createSession: () => ({ backend, loss: (batch) => model.loss(batch), parameters }),
    batches: trainingBatches(rows, { batchSize }),
    largest: largestBatches(rows, { batchSize, steps }),
    steps,
    learningRate,
    schedule: 'cosine',
    warmup: Math.min(20, Math.floor(steps / 10)),
    clip: 1,
    signal,
    onEvent(event) {
      if (event.type === 'step')
        post({ type: 'step', step: event.step, steps, loss: event.loss, tokensPerSecond: event.tokensPerSecond });
    },
  });
  // #endregion train

  post({ type: 'status', text: 'Writing with the trained model …' });
  post({ type: 'after', text: await complete({ model, tokenizer, backend, prompt: request.prompt }) });
  post({
    type: 'done',
    steps: result.steps,
    seconds: result.seconds,
    files: await saveAdapter(model),
  });
  model.dispose();
}

async function readTokenizer(files: readonly File[]): Promise<TextTokenizer> {
  const read = async (name: string): Promise<Record<string, unknown> | undefined> => {
    const file = files.find((candidate) => candidate.name === name);
    return file === undefined ? undefined : (JSON.parse(await file.text()) as Record<string, unknown>);
  };
  const json = await read('tokenizer.json');
  if (json === undefined)
    throw new LowrankError({
      code: 'web.noTokenizer',
      what: 'the model',
      expected: 'a file tokenizer.json',
      got: 'none',
      remedy: 'Pick the whole folder.',
    });
  const config = await read('config.json');
  const modelIds = {
    bos: config?.['bos_token_id'] as number | undefined,
    eos: config?.['eos_token_id'] as number | undefined,
  };
  return loadTokenizer(json, await read('tokenizer_config.json'), { modelIds });
}

function readRows(text: string, tokenizer: TextTokenizer, { shape }: CausalModel): Promise<Dataset> {
  return loadDataset(text, tokenizer, {
    name: 'the rows',
    vocabularySize: shape.vocabularySize,
    maxLength: shape.maxPositions,
  });
}

/** Greedy. The prompt's tokens are decoded along, since a first token alone may lose its space. */
async function complete({
  model,
  tokenizer,
  backend,
  prompt,
}: {
  model: CausalModel;
  tokenizer: TextTokenizer;
  backend: Backend;
  prompt: string;
}): Promise<string> {
  const ids = tokenizer.encode(prompt);
  if (ids.length === 0 && tokenizer.bosId !== undefined) ids.push(tokenizer.bosId);
  const stopIds = [...new Set([...model.shape.eosIds, ...(tokenizer.eosId === undefined ? [] : [tokenizer.eosId])])];
  const maxNewTokens = Math.min(newTokens, model.shape.maxPositions - ids.length);
  const [made = []] = await generate(model, { backend, prompts: [ids] }, { maxNewTokens, stopIds });
  return tokenizer.decode([...ids, ...made]).slice(tokenizer.decode(ids).length);
}
