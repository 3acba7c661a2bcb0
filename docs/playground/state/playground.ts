import type { InjectionKey } from 'vue';
import { computed, reactive, ref, shallowRef, watch } from 'vue';
import { AdapterShelf } from './adapterShelf';
import type { Example } from './examples';
import { examples } from './examples';
import type { Fault } from './faults';
import { faultOf } from './faults';
import type { Keep } from './keep';
import { openKeep } from './keep';
import { fromFragment } from './link';
import { ModelDesk } from './modelDesk';
import type { Row } from './rows';
import { promptOf, splitRows } from './rows';
import { RunDesk } from './runDesk';
import type { Settings } from './settings';
import { defaults, plainSettings, readSettings } from './settings';
import type { Place, Shared } from './shared';
import { Writing } from './writing';

export const playgroundKey: InjectionKey<Playground> = Symbol('playground');

const forgets = 'This window keeps nothing: a reload begins anew. Export what you want to keep.';

interface KeptPage {
  readonly settings: Settings;
  readonly rows: readonly Row[];
  readonly example: string | undefined;
}

/** All that the page has and does, without what it looks like. */
export class Playground implements Shared {
  readonly settings = reactive<{ -readonly [Name in keyof Settings]: Settings[Name] }>({ ...defaults });
  readonly rows = shallowRef<readonly Row[]>([]);
  readonly split = computed(() =>
    splitRows(this.rows.value, { percent: this.settings.heldOut, seed: this.settings.seed }),
  );
  /** The example that the rows are, as long as nobody changed them. */
  readonly example = ref<string>();
  readonly faults = reactive<Partial<Record<Place, Fault>>>({});
  readonly notices = ref<readonly string[]>([]);
  readonly isOpen = ref(false);
  readonly model = new ModelDesk(this);
  readonly adapters = new AdapterShelf(this, this.model);
  readonly run = new RunDesk(this, { split: this.split, model: this.model, adapters: this.adapters });
  readonly writing = new Writing(this, this.model, this.adapters, () => this.run.nowText());
  private kept: Keep | undefined;

  /** Shows what an earlier visit left, or what a link says, or the first example. */
  async open(): Promise<void> {
    this.kept = await openKeep(() => this.notice(forgets));
    const linked = fromFragment(location.hash);
    const page = await this.kept.get<KeptPage>('page').catch(() => undefined);
    const named = examples.find(({ id }) => id === linked?.example);
    Object.assign(this.settings, linked?.settings ?? readSettings(page?.settings));
    if (named !== undefined) await this.takeExample(named, 'rows');
    else if (page !== undefined) [this.rows.value, this.example.value] = [page.rows, page.example];
    const [first] = examples;
    if (this.rows.value.length === 0 && first !== undefined)
      await this.takeExample(first, linked === undefined ? 'all' : 'rows');
    await this.adapters.open(this.kept);
    await this.run.open(this.kept);
    this.isOpen.value = true;
    this.watch();
  }

  setRows(rows: readonly Row[]): void {
    [this.rows.value, this.example.value] = [rows, undefined];
  }

  /** An example's rows, and unless a link has said them its settings. */
  async takeExample(chosen: Example, what: 'all' | 'rows' = 'all'): Promise<void> {
    await this.attempt('rows', 'The example could not be loaded', async () => {
      [this.rows.value, this.example.value] = [await chosen.rows(), chosen.id];
      if (what === 'all') Object.assign(this.settings, chosen.settings);
      if (what === 'all' || this.settings.prompt === '')
        this.settings.prompt = promptOf(this.split.value.held[0] ?? this.rows.value[0]) ?? '';
    });
  }

  async attempt(place: Place, during: string, work: () => unknown): Promise<boolean> {
    delete this.faults[place];
    try {
      await work();
      return true;
    } catch (error) {
      if (!(error instanceof DOMException && error.name === 'AbortError')) this.faults[place] = faultOf(error, during);
      return false;
    }
  }

  notice(text: string): void {
    if (!this.notices.value.includes(text)) this.notices.value = [...this.notices.value, text];
  }

  async keep(name: string, value: unknown): Promise<void> {
    await this.attempt('page', 'This page cannot keep its work', () => this.kept?.set(name, value));
  }

  /** Writes the page's settings and rows a moment after they change. */
  private watch(): void {
    let waiting: ReturnType<typeof setTimeout> | undefined;
    watch([this.settings, this.rows, this.example], () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        const { settings, rows, example } = this;
        const page: KeptPage = { settings: plainSettings(settings), rows: rows.value, example: example.value };
        void this.keep('page', page);
      }, 300);
    });
  }
}
