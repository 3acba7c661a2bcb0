import type { ChatMessage, ExportOptions, LoadProgress, ModelSource, RunState, StepEvent, TextPieces } from 'lowrank';
import type { RemoteModel, Trainer } from 'lowrank/worker';
import type { Row } from '../state/rows';
import type { Settings } from '../state/settings';
import { startEngine } from './engine';

/** What the page says of a loaded model. */
export interface ModelInfo {
  readonly name: string;
  readonly device: string;
  readonly onGpu: boolean;
  readonly contextLength: number;
  /** Whether it has a chat template. */
  readonly chats: boolean;
}

/** An adapter's files by name, as PEFT has them. */
export type AdapterFiles = Readonly<Record<string, Uint8Array>>;

/** An adapter that is to have a part in what the model writes. */
export interface ActiveAdapter {
  readonly id: string;
  /** 1 as it was trained. */
  readonly strength: number;
}

export interface TrainRequest {
  readonly settings: Settings;
  readonly train: readonly Row[];
  readonly held: readonly Row[];
  /** Where to go on. */
  readonly resumeFrom: RunState | undefined;
}

export interface TrainEvents {
  readonly onWarning: (text: string) => void;
  readonly onStep: (event: StepEvent) => void;
  readonly onHeldLoss: (step: number, loss: number) => void;
  readonly onSample: (step: number, text: string) => void;
  /** A state to go on from; training waits for the promise. */
  readonly onState: (state: RunState) => Promise<void>;
}

export interface Trained {
  readonly files: AdapterFiles;
  readonly steps: number;
  readonly finished: boolean;
}

export interface WriteRequest {
  readonly prompt: string | readonly ChatMessage[];
  /** None: the base alone. */
  readonly adapters: readonly ActiveAdapter[];
  readonly settings: Pick<Settings, 'newTokens' | 'temperature' | 'seed'>;
  readonly onPiece: (piece: string) => void;
  readonly signal: AbortSignal;
}

/**
 * A model on a device with its adapters, and what the page does with them, one thing after another. While it is
 * trained, it writes between two steps, with the weights of exactly that step.
 */
export class Session {
  readonly #attached = new Set<string>();
  #active = '';
  #isTraining = false;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly info: ModelInfo,
    private readonly trainer: Trainer,
    private readonly model: RemoteModel,
  ) {}

  /** Loads a model in a worker of its own. @throws LowrankError what loadModel throws, `worker.start` */
  static async open(
    source: ModelSource,
    options: {
      readonly settings: Pick<Settings, 'device' | 'quantization'>;
      readonly name: string;
      readonly onProgress: (event: LoadProgress) => void;
      readonly onWarning: (text: string) => void;
      readonly signal: AbortSignal;
    },
  ): Promise<Session> {
    const { settings, name, ...hooks } = options;
    const quantization = settings.quantization === 'none' ? undefined : settings.quantization;
    const trainer = await startEngine();
    try {
      const model = await trainer.loadModel(source, { device: settings.device, quantization, ...hooks });
      const onGpu = model.device.name === 'webgpu';
      const device = `${onGpu ? 'WebGPU' : 'CPU'}: ${model.device.description}`;
      const contextLength = await model.contextLength();
      return new Session({ name, onGpu, device, contextLength, chats: model.hasTemplate }, trainer, model);
    } catch (error) {
      trainer.dispose();
      throw error;
    }
  }

  /** The mean loss of rows with the base alone. */
  baseLoss(rows: readonly Row[]): Promise<number> {
    return this.#inTurn(async () => {
      await this.#use([]);
      return (await this.model.evaluate(rows)).loss;
    });
  }

  /** Trains a new adapter until its last step or until `signal` is aborted; it is not attached afterwards. */
  train(request: TrainRequest, events: TrainEvents, signal: AbortSignal): Promise<Trained> {
    return this.#inTurn(async () => {
      await this.#use([]);
      const { settings, train, held, resumeFrom } = request;
      this.#isTraining = true;
      const run = await this.trainer.fineTune(this.model, {
        data: train,
        ...(held.length === 0 ? {} : { evalData: held, evaluateEvery: settings.evaluateEvery }),
        ...trainingOptions(settings),
        saveEvery: saveEvery(settings.steps),
        resumeFrom,
        signal,
        onStep: events.onStep,
        onEvent(event) {
          if (event.type === 'warning') events.onWarning(event.text);
          if (event.type === 'evaluated' && !event.isLast) events.onHeldLoss(event.step, event.loss);
        },
        onCheckpoint: (state) => events.onState(state),
        betweenSteps: {
          every: Math.min(settings.evaluateEvery, settings.steps),
          run: async ({ step }) => {
            if (settings.prompt !== '') events.onSample(step, await this.#sample(settings));
          },
        },
      });
      const files = (await run.files()) as AdapterFiles;
      await run.remove();
      return { files, steps: run.steps, finished: !run.interrupted };
    }).finally(() => (this.#isTraining = false));
  }

  async attach(id: string, files: AdapterFiles): Promise<void> {
    await this.#inTurn(async () => {
      await this.model.loadAdapter(filesOf(files), { name: id });
      this.#attached.add(id);
      this.#active = id;
    });
  }

  async detach(id: string): Promise<void> {
    await this.#inTurn(async () => {
      if (!this.#attached.delete(id)) return;
      await this.#use([]);
      await this.model.removeAdapter(id);
    });
  }

  /** Whether what is written comes from the adapter that is being trained. */
  get isTraining(): boolean {
    return this.#isTraining;
  }

  /** Writes after a prompt or answers a chat, with these adapters and no others; in a training, with its own alone. */
  write(request: WriteRequest): Promise<void> {
    const { prompt, adapters, settings, onPiece, signal } = request;
    const say = async (): Promise<void> => {
      for await (const piece of this.#pieces(prompt, settings, signal)) onPiece(piece);
    };
    if (this.#isTraining) return say();
    return this.#inTurn(async () => {
      if (signal.aborted) return;
      await this.#use(adapters);
      await say();
    });
  }

  /** The model with adapters merged in, as files. @throws LowrankError what `model.exportFiles` throws */
  exported(
    active: readonly ActiveAdapter[],
    known: readonly { readonly id: string; readonly files: AdapterFiles }[],
    options: ExportOptions,
  ): Promise<AdapterFiles> {
    const weighted = active.flatMap(({ id, strength }) => {
      const files = known.find((adapter) => adapter.id === id)?.files;
      const { 'adapter_config.json': config, 'adapter_model.safetensors': weights } = files ?? {};
      if (config === undefined || weights === undefined) return [];
      return [{ files: { 'adapter_config.json': config, 'adapter_model.safetensors': weights }, strength }];
    });
    return this.#inTurn(() => this.model.exportFiles(weighted, options));
  }

  /** Ends the worker, whatever it is at. */
  dispose(): void {
    this.trainer.dispose();
  }

  #sample(settings: Settings): Promise<string> {
    return this.model.generate(settings.prompt, { maxNewTokens: settings.newTokens }).text();
  }

  #pieces(
    prompt: WriteRequest['prompt'],
    { newTokens, temperature, seed }: WriteRequest['settings'],
    signal: AbortSignal,
  ): TextPieces {
    const options = { maxNewTokens: newTokens, temperature, seed, signal };
    return typeof prompt === 'string' ? this.model.generate(prompt, options) : this.model.chat(prompt, options);
  }

  /** Which adapters work is compiled in; how strongly is not. */
  async #use(adapters: readonly ActiveAdapter[]): Promise<void> {
    const known = adapters.filter(({ id }) => this.#attached.has(id));
    const ids = known.map(({ id }) => id);
    if (ids.join() !== this.#active) await this.model.activateAdapter(ids);
    this.#active = ids.join();
    for (const { id, strength } of known) await this.model.scaleAdapter(id, strength);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

/** What decides the numbers of a run: the same on every way through the page. */
export function trainingOptions(settings: Settings): {
  readonly r: number;
  readonly alpha: number;
  readonly targetModules: 'all-linear';
  readonly steps: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly schedule: 'cosine';
  readonly warmup: number;
  readonly maxLength: number;
  readonly seed: number;
} {
  const { rank, alpha, steps, batchSize, learningRate, maxLength, seed } = settings;
  const warmup = Math.min(20, Math.floor(steps / 10));
  return {
    r: rank,
    alpha,
    targetModules: 'all-linear',
    steps,
    batchSize,
    learningRate,
    schedule: 'cosine',
    warmup,
    maxLength,
    seed,
  };
}

/** Often enough that a reload loses seconds; no more than fifty times a run. */
function saveEvery(steps: number): number {
  return Math.max(5, Math.ceil(steps / 50));
}

function filesOf(files: AdapterFiles): File[] {
  return Object.entries(files).map(([name, bytes]) => new File([new Uint8Array(bytes)], name));
}
