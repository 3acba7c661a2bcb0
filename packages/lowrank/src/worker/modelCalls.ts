import type { Model } from '../front/model.js';
import type { TaskedModel } from '../front/taskedModel.js';
import { coalesced } from './backPressure.js';
import { given } from './given.js';
import type { OfferedModel, OfferedTaskedModel, TextRequest } from './offered.js';
import type { RemoteDevice } from './remote.js';
import { startTraining } from './startTraining.js';
import { Turns } from './turns.js';

/** The calls of a model for the page: each in its turn. */
export function modelCalls(model: Model): OfferedModel {
  const turns = new Turns(model.name);
  return {
    name: model.name,
    device: deviceOf(model),
    hasTemplate: model.template !== undefined,
    contextLength: () => Promise.resolve(model.contextLength),
    tokenize: (text, options) => Promise.resolve(model.tokenize(text, options)),
    write: (request, onText) => turns.read(() => write(model, request, onText)),
    generateBatch: (prompts, options = {}) => turns.read(() => generateBatch(model, prompts, options)),
    evaluate: (data, options) => turns.read(() => model.evaluate(data, options)),
    saveAdapter: (place, named) => turns.read(() => model.saveAdapter(place, named)),
    adapterFiles: (named) => turns.read(() => given(model.adapterFiles(named))),
    exportFiles: (adapters, options) => turns.read(() => given(model.exportFiles(adapters, options))),
    addAdapter: (options, named) => turns.change('addAdapter', () => model.addAdapter(options, named)),
    loadAdapter: (source, named) => turns.change('loadAdapter', () => model.loadAdapter(source, named)),
    activateAdapter: (names) => turns.change('activateAdapter', () => model.activateAdapter(names)),
    scaleAdapter: (adapter, strength) => turns.read(async () => model.scaleAdapter(adapter, strength)),
    removeAdapter: (adapter) => turns.change('removeAdapter', () => model.removeAdapter(adapter)),
    mergeAdapter: (names) => turns.change('mergeAdapter', () => model.mergeAdapter(names)),
    unmergeAdapter: () => turns.change('unmergeAdapter', () => model.unmergeAdapter()),
    addTokens: (tokens) => turns.change('addTokens', () => model.addTokens(tokens)),
    dispose: () => turns.change('dispose', () => model.dispose()),
    fineTune: (options) => startTraining(model, options, turns),
  };
}

/** The calls of a model with the head of a task. */
export function taskedCalls(model: TaskedModel): OfferedTaskedModel {
  const turns = new Turns(model.name);
  const { name, task, labels } = model;
  return {
    name,
    task,
    labels,
    device: deviceOf(model),
    predict: (asked) => turns.read(() => model.predict(asked)),
    evaluate: (data) => turns.read(() => model.evaluate(data)),
    dispose: () => turns.change('dispose', async () => model.dispose()),
    fineTune: (options) => startTraining(model, options, turns),
  };
}

function deviceOf({ backend: { name, description } }: Model | TaskedModel): RemoteDevice {
  return { name, description };
}

async function write(model: Model, request: TextRequest, onText: (text: string) => unknown): Promise<void> {
  const pieces =
    'prompt' in request
      ? model.generate(request.prompt, request.options)
      : model.chat(request.messages, request.options);
  const text = coalesced(onText, (earlier, later) => earlier + later);
  try {
    for await (const piece of pieces) text.send(piece);
  } finally {
    await text.settle();
  }
}

type BatchOptions = NonNullable<Parameters<Model['generateBatch']>[1]>;

async function generateBatch(model: Model, prompts: readonly string[], options: BatchOptions): Promise<string[]> {
  const told: Promise<void>[] = [];
  const { onToken } = options;
  const tell = (id: number, prompt: number): void => void told.push(Promise.resolve(onToken?.(id, prompt)));
  const texts = await model.generateBatch(prompts, { ...options, onToken: onToken && tell });
  await Promise.all(told);
  return texts;
}
