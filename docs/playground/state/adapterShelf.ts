import { markRaw, reactive, watch } from 'vue';
import type { ActiveAdapter, AdapterFiles, Session } from '../engine/session';
import type { Adapter } from './adapters';
import { adapterOf } from './adapters';
import { adapterFilesFrom } from './archive';
import type { Keep } from './keep';
import type { ModelDesk } from './modelDesk';
import type { Shared } from './shared';

/** The adapters that the page has, trained here or brought along. */
export class AdapterShelf {
  readonly list = reactive<Adapter[]>([]);

  constructor(
    private readonly page: Shared,
    private readonly model: ModelDesk,
  ) {
    model.onOpen((session) => this.attachTo(session));
  }

  async add(
    files: AdapterFiles,
    about: Pick<Adapter, 'name' | 'from'> & { readonly heldLoss?: number | undefined },
  ): Promise<void> {
    const id = `adapter${Date.now().toString(36)}${this.list.length}`;
    await this.model.current()?.attach(id, files);
    this.list.push(adapterOf(files, { ...about, id }));
    await this.keep();
  }

  /** @throws where the files are no adapter, or one that does not fit the model that is loaded */
  async importFrom(dropped: readonly File[]): Promise<void> {
    const files = await adapterFilesFrom(dropped);
    const [first] = dropped;
    await this.add(files, { name: first?.name.replace(/\.(zip|safetensors|json)$/, '') ?? '', from: 'imported' });
  }

  async remove(adapter: Adapter): Promise<void> {
    await this.model.current()?.detach(adapter.id);
    this.list.splice(this.list.indexOf(adapter), 1);
    await this.keep();
  }

  /** Those that are switched on, with their strengths. */
  active(): ActiveAdapter[] {
    return this.list.filter(({ isOn }) => isOn).map(({ id, strength }) => ({ id, strength }));
  }

  /** Their names, as a person reads them. */
  activeText(): string {
    const on = this.list.filter(({ isOn }) => isOn);
    if (on.length === 0) return 'No adapter is on';
    return on.map(({ name, strength }) => (strength === 1 ? name : `${name} × ${strength}`)).join(' + ');
  }

  async open(kept: Keep): Promise<void> {
    for (const adapter of (await kept.get<Adapter[]>('adapters').catch(() => undefined)) ?? [])
      this.list.push({ ...adapter, files: markRaw(adapter.files) });
    let waiting: ReturnType<typeof setTimeout> | undefined;
    watch(
      () => this.list.map(({ name, isOn, strength }) => [name, isOn, strength].join()).join('\n'),
      () => {
        clearTimeout(waiting);
        waiting = setTimeout(() => void this.keep(), 500);
      },
    );
  }

  /** An adapter of another model stays on the shelf, and out of this one. */
  private async attachTo(session: Session): Promise<void> {
    for (const adapter of this.list) {
      try {
        await session.attach(adapter.id, adapter.files);
      } catch {
        adapter.isOn = false;
        this.page.notice(`${adapter.name} does not fit this model, and is switched off.`);
      }
    }
  }

  private keep(): Promise<void> {
    return this.page.keep(
      'adapters',
      this.list.map((adapter) => ({ ...adapter })),
    );
  }
}
