import type { RemoteModel, RemoteRun, RemoteStorage, Trainer } from 'lowrank/worker';
import { ref } from 'vue';
import { bundledFiles } from '../engine/bundledModel';
import { startEngine } from '../engine/engine';
import { storageOf } from '../engine/storage';
import type { AdapterFiles } from '../engine/session';
import type { Fault } from '../state/faults';
import { faultOf } from '../state/faults';
import type { Keep } from '../state/keep';
import { openKeep } from '../state/keep';
import { askedOf, suggestion, wholeOf } from './typing';

/** What is kept between visits beside the adapter's files. */
interface Kept {
  readonly text: string;
  readonly learned: readonly string[];
  /** An earlier version of the page had the files themselves in its database. */
  readonly files?: AdapterFiles | undefined;
}

/** Of the adapter in the storage. */
const adapterName = 'words';

const stepsAtOnce = 160;
/** New sentences are learned a moment after they are typed. */
const patience = 900;

/** A small model that learns the sentences somebody types, and continues the next one. */
export class Learner {
  readonly state = ref<'asleep' | 'loading' | 'ready' | 'learning'>('asleep');
  /** Sentences that it has learned. */
  readonly learned = ref<readonly string[]>([]);
  readonly step = ref(0);
  readonly loss = ref<number>();
  readonly suggested = ref('');
  readonly fault = ref<Fault>();
  readonly steps = stepsAtOnce;
  private kept: Keep | undefined;
  private storage: RemoteStorage | undefined;
  private text = '';
  private files: AdapterFiles | undefined;
  private trainer: Trainer | undefined;
  private model: RemoteModel | undefined;
  private run: RemoteRun | undefined;
  private waiting: ReturnType<typeof setTimeout> | undefined;
  private asking = new AbortController();

  /** Loads the model, and what an earlier visit has taught. Resolves with the text of that visit. */
  async open(): Promise<string> {
    this.kept = await openKeep(() => undefined);
    const kept = await this.kept.get<Kept>('words').catch(() => undefined);
    [this.text, this.learned.value] = [kept?.text ?? '', kept?.learned ?? []];
    await this.attempt(async () => {
      this.state.value = 'loading';
      this.trainer = await startEngine();
      this.storage = await storageOf(this.trainer);
      if (this.learned.value.length > 0)
        this.files = kept?.files ?? (await this.storage?.adapterFiles(adapterName).catch(() => undefined));
      // The browser may have evicted it: the text is learned anew.
      if (this.files === undefined) this.learned.value = [];
      this.model = await this.trainer.loadModel(await bundledFiles(new AbortController().signal), { device: 'auto' });
      if (this.files !== undefined) await this.model.loadAdapter(asFiles(this.files));
      this.state.value = 'ready';
    });
    return this.text;
  }

  /** Learns the sentences that are new, once nothing is typed for a moment. */
  hear(text: string, sentences: readonly string[]): void {
    this.text = text;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => void this.learn(sentences), patience);
  }

  /** Finds what may come after a begun sentence; an earlier question is dropped. */
  async suggest(begun: string): Promise<void> {
    this.asking.abort();
    this.suggested.value = '';
    const { model } = this;
    const asked = askedOf(begun);
    if (model === undefined || begun === '') return;
    const asking = new AbortController();
    this.asking = asking;
    await this.attempt(async () => {
      // After the words that are whole; else in the middle of the word.
      for (const way of [asked, wholeOf(asked)]) {
        const found = suggestion(
          way,
          await model.generate(way.words, { maxNewTokens: 20, signal: asking.signal }).text(),
        );
        if (asking.signal.aborted) return;
        this.suggested.value = found;
        if (found !== '') return;
      }
    });
  }

  /** Forgets everything that was typed and learned. */
  async forget(): Promise<void> {
    clearTimeout(this.waiting);
    await this.attempt(async () => {
      await this.takeOut();
      [this.text, this.learned.value, this.files, this.loss.value] = ['', [], undefined, undefined];
      await this.keep();
      await this.storage?.removeAdapter(adapterName).catch(() => undefined);
    });
  }

  close(): void {
    clearTimeout(this.waiting);
    this.trainer?.dispose();
  }

  private async learn(sentences: readonly string[]): Promise<void> {
    const { trainer, model } = this;
    const fresh = sentences.filter((sentence) => !this.learned.value.includes(sentence));
    if (fresh.length === 0 || trainer === undefined || model === undefined) return this.keep();
    if (this.state.value === 'learning') return this.hear(this.text, sentences);
    await this.attempt(async () => {
      this.state.value = 'learning';
      await this.takeOut();
      this.run = await trainer.fineTune(model, {
        // What is new is learned more often than what it knows.
        data: [...sentences, ...fresh, ...fresh].map((text) => ({ text })),
        initAdapter: this.files === undefined ? undefined : asFiles(this.files),
        ...(this.files === undefined ? { r: 16, alpha: 32, targetModules: 'all-linear' as const } : {}),
        steps: stepsAtOnce,
        batchSize: 8,
        learningRate: 0.004,
        schedule: 'cosine',
        warmup: 2,
        maxLength: 200,
        onStep: ({ step, loss }) => void ([this.step.value, this.loss.value] = [step, loss]),
      });
      this.files = (await this.run.files()) as AdapterFiles;
      this.learned.value = sentences;
      await this.storage?.keepAdapter(adapterName, this.files);
      await this.keep();
    });
    if (this.model !== undefined) this.state.value = 'ready';
  }

  /** Takes the adapter out, so that a training can begin with it. */
  private async takeOut(): Promise<void> {
    if (this.run !== undefined) await this.run.remove();
    else if (this.files !== undefined) await this.model?.removeAdapter();
    this.run = undefined;
  }

  private async keep(): Promise<void> {
    const kept: Kept = { text: this.text, learned: [...this.learned.value] };
    await this.kept?.set('words', kept);
  }

  private async attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.fault.value = undefined;
    } catch (error) {
      if (!(error instanceof Error && error.name === 'AbortError'))
        this.fault.value = faultOf(error, 'Something went wrong');
    }
  }
}

function asFiles(files: AdapterFiles): File[] {
  return Object.entries(files).map(([name, bytes]) => new File([new Uint8Array(bytes)], name));
}
