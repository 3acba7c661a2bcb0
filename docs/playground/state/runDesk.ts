import type { RunState, StepEvent } from 'lowrank';
import type { MetricsLine } from '@lowrank/study/charts';
import type { Ref } from 'vue';
import { computed, reactive, shallowRef, triggerRef } from 'vue';
import type { Session, Trained } from '../engine/session';
import type { AdapterShelf } from './adapterShelf';
import type { Keep } from './keep';
import type { KeptRun, KeptState, Sample } from './keptRun';
import { keptState, runState, upTo } from './keptRun';
import type { ModelDesk } from './modelDesk';
import type { SplitRows } from './rows';
import type { Settings } from './settings';
import { plainSettings } from './settings';
import type { Shared } from './shared';

export type RunPhase = 'none' | 'loading' | 'measuring' | 'training' | 'stopping' | 'paused' | 'done' | 'failed';

/** What is seen of a run. */
export interface RunView {
  phase: RunPhase;
  name: string;
  step: number;
  steps: number;
  loss: number | undefined;
  heldBefore: number | undefined;
  heldLoss: number | undefined;
  tokensPerSecond: number | undefined;
  memoryBytes: number | undefined;
  /** Of training, pauses not counted. */
  seconds: number;
}

const nothing: RunView = {
  phase: 'none',
  name: '',
  step: 0,
  steps: 0,
  loss: undefined,
  heldBefore: undefined,
  heldLoss: undefined,
  tokensPerSecond: undefined,
  memoryBytes: undefined,
  seconds: 0,
};

interface Desks {
  readonly split: Ref<SplitRows>;
  readonly model: ModelDesk;
  readonly adapters: AdapterShelf;
}

/** How a run is to end, when it is not by its last step. */
type Ending = 'pause' | 'stop' | 'cancel';

/** A run: what is seen of it, and what is done with it. */
export class RunDesk {
  readonly view = reactive<RunView>({ ...nothing });
  readonly lines = shallowRef<MetricsLine[]>([]);
  readonly samples = shallowRef<Sample[]>([]);
  /** The prompt of the samples. */
  readonly prompt = computed(() => this.begun.value?.settings.prompt ?? this.page.settings.prompt);
  readonly isRunning = computed(() => ['loading', 'measuring', 'training', 'stopping'].includes(this.view.phase));
  readonly secondsLeft = computed(() => {
    const { phase, step, steps, seconds } = this.view;
    return phase === 'training' && step > 0 ? (seconds / step) * (steps - step) : undefined;
  });
  private readonly begun = shallowRef<Pick<KeptRun, 'settings' | 'train' | 'held'>>();
  private state: KeptState | undefined;
  private controller = new AbortController();
  private ending: Ending = 'pause';

  constructor(
    private readonly page: Shared,
    private readonly desks: Desks,
  ) {}

  async start(): Promise<void> {
    const { settings } = this.page;
    const { adapters, split } = this.desks;
    const number = adapters.list.filter(({ from }) => from === 'trained').length + 1;
    this.forget();
    Object.assign(this.view, { name: `Run ${number}`, steps: settings.steps });
    this.begun.value = { settings: plainSettings(settings), train: split.value.train, held: split.value.held };
    await this.run();
  }

  /** Ends at the next step; `resume` goes on as if nothing had been. */
  pause(): void {
    this.end('pause');
  }

  /** Ends what comes before the first step. */
  cancel(): void {
    this.desks.model.cancel();
    this.end('cancel');
  }

  async resume(): Promise<void> {
    const { value } = this.begun;
    // The run's own model and settings: what was chosen since is for the next one.
    if (value !== undefined) Object.assign(this.page.settings, plainSettings(value.settings));
    await this.run();
  }

  /** Ends the run and keeps what was learned so far as an adapter. */
  async stop(): Promise<void> {
    if (this.view.phase === 'paused') await this.run('now');
    else this.end('stop');
  }

  /** What the adapter is that is being trained. */
  nowText(): string {
    return `${this.view.name}, step ${this.view.step}`;
  }

  /** Forgets a paused run. */
  async discard(): Promise<void> {
    this.forget();
    await this.page.keep('run', undefined);
  }

  async open(kept: Keep): Promise<void> {
    const found = await kept.get<KeptRun>('run').catch(() => undefined);
    if (found === undefined || (!found.isOver && found.state === undefined)) return;
    this.begun.value = found;
    [this.lines.value, this.samples.value, this.state] = [[...found.lines], [...found.samples], found.state];
    const { name, settings, heldBefore, seconds, isOver } = found;
    Object.assign(this.view, { ...nothing, name, heldBefore, seconds, steps: settings.steps });
    Object.assign(this.view, { phase: isOver ? 'done' : 'paused', step: found.state?.step ?? settings.steps });
    this.lookBack();
  }

  private forget(): void {
    Object.assign(this.view, nothing);
    [this.lines.value, this.samples.value, this.state, this.begun.value] = [[], [], undefined, undefined];
  }

  private end(ending: Ending): void {
    this.ending = ending;
    this.view.phase = 'stopping';
    this.controller.abort();
  }

  private async run(until: 'end' | 'now' = 'end'): Promise<void> {
    const { value: begun } = this.begun;
    if (begun === undefined) return;
    this.controller = new AbortController();
    this.ending = until === 'now' ? 'stop' : 'pause';
    // A training that is stopped before its first step gives the files of the state that it was to go on from.
    if (until === 'now') this.controller.abort();
    const clock = setInterval(() => this.view.phase === 'training' && (this.view.seconds += 0.5), 500);
    const went = await this.page.attempt('run', 'The training stopped', () => this.train(begun));
    clearInterval(clock);
    if (!went) this.failed();
  }

  private async train(begun: Pick<KeptRun, 'settings' | 'train' | 'held'>): Promise<void> {
    const { signal } = this.controller;
    this.view.phase = 'loading';
    const session = await this.desks.model.session();
    const resumeFrom = this.state && runState(this.state);
    if (resumeFrom === undefined) await this.look(session);
    if (this.ending === 'cancel') throw new DOMException('cancelled', 'AbortError');
    this.view.phase = 'training';
    const trained = await session.train(
      { ...begun, resumeFrom },
      {
        onStep: (event) => this.onStep(event),
        onHeldLoss: (step, loss) => this.onHeldLoss(step, loss),
        onState: (state) => this.onState(state),
        onSample: (step, text) => this.addSample(step, text),
        onWarning: (text) => this.page.notice(text),
      },
      signal,
    );
    await this.finish(trained, begun.settings);
  }

  /** Asks and measures the base, before anything is learned. */
  private async look(session: Session): Promise<void> {
    const { held = [], settings } = this.begun.value ?? {};
    this.view.phase = 'measuring';
    let text = '';
    if (settings !== undefined && settings.prompt !== '')
      await session.write({
        prompt: settings.prompt,
        adapters: [],
        settings: { ...settings, temperature: 0 },
        signal: this.controller.signal,
        onPiece: (piece) => this.addSample(0, (text += piece)),
      });
    if (held.length === 0) return;
    const loss = await session.baseLoss(held);
    this.view.heldBefore = loss;
    this.onHeldLoss(0, loss);
  }

  private onStep({ step, loss, gradNorm, learningRate, tokensPerSecond, memoryBytes }: StepEvent): void {
    Object.assign(this.view, { step, loss, tokensPerSecond, memoryBytes });
    this.see({
      step,
      loss,
      grad_norm: gradNorm,
      learning_rate: learningRate,
      tokens_per_second: tokensPerSecond,
      memory_bytes: memoryBytes,
    });
  }

  private onHeldLoss(step: number, loss: number): void {
    this.view.heldLoss = loss;
    this.see({ step, eval_loss: loss });
  }

  private async onState(state: RunState): Promise<void> {
    this.state = await keptState(state);
    this.view.seconds = state.seconds;
    await this.keep(false);
  }

  private see(line: MetricsLine): void {
    this.lines.value.push(line);
    triggerRef(this.lines);
  }

  private addSample(step: number, text: string): void {
    this.samples.value = [...upTo(step - 1, this.samples.value), { step, text }];
  }

  private async keep(isOver: boolean): Promise<void> {
    if (this.begun.value === undefined) return;
    const { name, heldBefore, seconds } = this.view;
    const kept: KeptRun = {
      ...this.begun.value,
      name,
      heldBefore,
      lines: this.lines.value,
      samples: this.samples.value,
      seconds,
      state: isOver ? undefined : this.state,
      isOver,
    };
    await this.page.keep('run', kept);
  }

  private async finish({ files, steps, finished }: Trained, settings: Settings): Promise<void> {
    if (!finished && this.ending === 'pause') {
      this.view.phase = 'paused';
      return;
    }
    const name = `${this.view.name}${finished ? '' : `, ${steps} steps`}`;
    const heldLoss = settings.heldOut === 0 ? undefined : this.view.heldLoss;
    await this.desks.adapters.add(files, { name, from: 'trained', heldLoss });
    [this.view.phase, this.state] = ['done', undefined];
    await this.lastSample(settings);
    await this.keep(true);
  }

  /** What the model writes in the end, where the last step was none that is looked at. */
  private async lastSample(settings: Settings): Promise<void> {
    const { step } = this.view;
    const adapter = this.desks.adapters.list.at(-1);
    if (adapter === undefined || settings.prompt === '' || this.samples.value.at(-1)?.step === step) return;
    let text = '';
    const session = await this.desks.model.session();
    await session.write({
      prompt: settings.prompt,
      adapters: [{ id: adapter.id, strength: 1 }],
      settings: { ...settings, temperature: 0 },
      signal: new AbortController().signal,
      onPiece: (piece) => (text += piece),
    });
    this.addSample(step, text);
  }

  private failed(): void {
    const early = this.ending === 'cancel' ? 'none' : 'failed';
    this.view.phase = this.state === undefined ? early : 'paused';
    this.lookBack();
    // A device that is gone takes the model with it; the next one loads it again.
    this.desks.model.drop();
  }

  /** Goes back to the state that is kept: what was seen after it comes again. */
  private lookBack(): void {
    if (this.state !== undefined) {
      const { step } = this.state;
      [this.lines.value, this.samples.value] = [upTo(step, this.lines.value), upTo(step, this.samples.value)];
      this.view.step = step;
    }
    const last = (key: string): number | undefined => {
      const value = this.lines.value.findLast((line) => typeof line[key] === 'number')?.[key];
      return typeof value === 'number' ? value : undefined;
    };
    const [tokensPerSecond, memoryBytes] = [last('tokens_per_second'), last('memory_bytes')];
    Object.assign(this.view, { loss: last('loss'), heldLoss: last('eval_loss'), tokensPerSecond, memoryBytes });
  }
}
