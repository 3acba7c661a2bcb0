import type { MethodFiles } from 'lowrank';
import type { RemoteTaskedModel, Trainer } from 'lowrank/worker';
import { ref, shallowRef } from 'vue';
import { startEngine } from '../engine/engine';
import type { AdapterFiles } from '../engine/session';
import type { Fault } from '../state/faults';
import { faultOf } from '../state/faults';
import type { Example } from './sample';
import { baseFiles, known } from './sample';

/** How something new is learned. */
export type Way = 'lora' | 'full';

/** What a training came to. */
export interface Lesson {
  readonly way: Way;
  readonly classes: string;
  readonly examples: number;
  /** Parameters that were trained. */
  readonly trained: number;
  /** Shares of held-out pictures that it knows, before and after; undefined where there are none of these classes. */
  readonly before: number | undefined;
  readonly after: number | undefined;
  readonly seconds: number;
  readonly files: AdapterFiles;
}

/** One rate for each way, which was not searched for. */
const rates = { lora: 1e-2, full: 1e-3 };

/** A small vision transformer in a worker: it says what pictures show, and learns new ones. */
export class Pupil {
  readonly state = ref<'loading' | 'ready' | 'learning'>('loading');
  readonly step = ref(0);
  /** What it tells apart now. */
  readonly knows = ref(known);
  readonly device = ref('');
  /** Probabilities of the picture that was shown last, by class. */
  readonly answers = ref<Readonly<Record<string, number>>>({});
  readonly lessons = shallowRef<readonly Lesson[]>([]);
  readonly fault = ref<Fault>();
  readonly steps = 90;
  private trainer: Trainer | undefined;
  private model: RemoteTaskedModel | undefined;
  private shown: Uint8Array | undefined;
  private isStale = false;
  private isAnswering = false;

  async open(): Promise<void> {
    await this.attempt(async () => {
      this.trainer = await startEngine();
      this.model = await this.fresh(known);
      this.device.value = this.model.device.name === 'webgpu' ? 'the GPU' : 'the processor';
      this.state.value = 'ready';
    });
    await this.show(this.shown);
  }

  /** Answers about a picture, and again whenever it has learned something more; undefined for none. */
  async show(pixels: Uint8Array | undefined): Promise<void> {
    [this.shown, this.isStale] = [pixels, true];
    if (pixels === undefined) this.answers.value = {};
    if (this.isAnswering || this.model === undefined) return;
    this.isAnswering = true;
    await this.attempt(() => this.answer());
    this.isAnswering = false;
  }

  /** A fresh copy of the base learns these examples, and answers from the first step on. */
  async learn(way: Way, examples: readonly Example[], held: readonly Example[]): Promise<void> {
    const { trainer, model: before } = this;
    const classes = [...new Set(examples.map(({ label }) => label))].sort();
    if (trainer === undefined || before === undefined || this.state.value !== 'ready') return;
    [this.state.value, this.step.value] = ['learning', 0];
    await this.attempt(async () => {
      const student = await this.fresh(classes);
      [this.model, this.knows.value] = [student, classes];
      await before.dispose();
      const rows = held.filter(({ label }) => classes.includes(label)).map(rowOf);
      const rightOf = async (): Promise<number | undefined> =>
        rows.length === 0 ? undefined : (await student.evaluate(rows)).scores['accuracy'];
      const first = await rightOf();
      const run = await trainer.fineTune(student, {
        data: examples.map(rowOf),
        method: way,
        ...(way === 'lora' && { r: 4, alpha: 8, targetModules: 'all-linear' }),
        learningRate: rates[way],
        schedule: 'cosine',
        weightDecay: 0,
        batchSize: 32,
        steps: this.steps,
        onStep: ({ step }) => {
          this.step.value = step;
          if (step % 5 === 0) void this.show(this.shown);
        },
      });
      const after = await rightOf();
      const { trainedParameters: trained, seconds } = run;
      const files = await bytesOf(await run.files());
      const counts = { classes: classes.join(' '), examples: examples.length, trained };
      this.lessons.value = [...this.lessons.value, { way, ...counts, before: first, after, seconds, files }];
    });
    this.state.value = 'ready';
    await this.show(this.shown);
  }

  close(): void {
    this.trainer?.dispose();
  }

  private async fresh(labels: readonly string[]): Promise<RemoteTaskedModel> {
    if (this.trainer === undefined) throw new TypeError('not open');
    return this.trainer.loadModel(await baseFiles(), { task: 'image-classification', labels });
  }

  private async answer(): Promise<void> {
    while (this.isStale && this.shown !== undefined && this.model !== undefined) {
      const { shown } = this;
      this.isStale = false;
      const [said] = await this.model.predict([{ image: imageOf(shown) }]);
      if (this.shown !== undefined) this.answers.value = (said?.['probabilities'] ?? {}) as Record<string, number>;
    }
  }

  private async attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.fault.value = undefined;
    } catch (error) {
      this.fault.value = faultOf(error, 'Something went wrong');
    }
  }
}

/** `task.json`, which names the classes, is a text, and a whole model comes in pieces. */
async function bytesOf(files: MethodFiles): Promise<AdapterFiles> {
  const all: Record<string, Uint8Array> = {};
  for (const [name, content] of Object.entries(files)) {
    const pieces: BlobPart[] = [];
    if (typeof content === 'string' || content instanceof Uint8Array) pieces.push(content as BlobPart);
    else for await (const piece of content) pieces.push(piece as BlobPart);
    all[name] = new Uint8Array(await new Blob(pieces).arrayBuffer());
  }
  return all;
}

function imageOf(data: Uint8Array): { width: number; height: number; channels: number; data: Uint8Array } {
  return { width: 28, height: 28, channels: 1, data };
}

function rowOf({ pixels, label }: Example): { image: ReturnType<typeof imageOf>; label: string } {
  return { image: imageOf(pixels), label };
}
