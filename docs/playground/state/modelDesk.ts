import type { LoadProgress, ModelSource } from 'lowrank';
import { computed, ref, shallowRef } from 'vue';
import { bundledFiles, bundledModel } from '../engine/bundledModel';
import type { ModelInfo } from '../engine/session';
import { Session } from '../engine/session';
import { guardFor } from './guard';
import type { ModelChoice } from './settings';
import type { Shared } from './shared';

export function nameOf(choice: ModelChoice): string {
  switch (choice.kind) {
    case 'bundled':
      return bundledModel.name;
    case 'hub':
      return choice.id;
    case 'url':
      return choice.url;
    case 'files':
      return choice.name;
  }
}

/** The model that the page has on a device, or is about to have. */
export class ModelDesk {
  readonly state = ref<'none' | 'loading' | 'ready'>('none');
  readonly info = ref<ModelInfo>();
  readonly progress = ref<LoadProgress>();
  /** Files that a person picked; they last as long as the page. */
  readonly picked = shallowRef<readonly File[]>([]);
  /** Whether the settings name another model than the one that is loaded. */
  readonly isOther = computed(() => this.loaded.value !== undefined && this.loaded.value !== this.wanted());
  private readonly loaded = ref<string>();
  private readonly listeners: ((opened: Session) => Promise<void>)[] = [];
  private opening: { readonly wanted: string; readonly session: Promise<Session> } | undefined;
  private controller = new AbortController();
  private opened: Session | undefined;

  constructor(private readonly page: Shared) {}

  /** The session with the chosen model, loaded where it is not yet. @throws what loading throws */
  async session(): Promise<Session> {
    const wanted = this.wanted();
    if (this.opening?.wanted === wanted) return this.opening.session;
    this.drop();
    this.opening = { wanted, session: this.load() };
    const session = await this.opening.session;
    this.loaded.value = wanted;
    return session;
  }

  /** The session that is there, without loading one. */
  current(): Session | undefined {
    return this.opened;
  }

  pick(files: readonly File[]): void {
    this.picked.value = files;
    if (this.opened !== undefined && this.page.settings.model.kind === 'files') this.drop();
  }

  cancel(): void {
    this.controller.abort();
  }

  /** Frees the model; a lost device takes nothing else with it. */
  drop(): void {
    this.controller.abort();
    this.opened?.dispose();
    [this.opened, this.opening, this.loaded.value, this.info.value] = [undefined, undefined, undefined, undefined];
    this.state.value = 'none';
  }

  /** Told of a new session, before anybody uses it. */
  onOpen(listen: (session: Session) => Promise<void>): void {
    this.listeners.push(listen);
  }

  private wanted(): string {
    const { model, device, quantization } = this.page.settings;
    return JSON.stringify([model, device, quantization]);
  }

  private async load(): Promise<Session> {
    const { model, device, quantization } = this.page.settings;
    this.state.value = 'loading';
    this.controller = new AbortController();
    const { signal } = this.controller;
    try {
      await guardFor(model);
      const source = await sourceOf(model, this.picked.value, signal);
      const session = await Session.open(source, {
        settings: { device, quantization },
        name: nameOf(model),
        onProgress: (event) => (this.progress.value = event),
        onWarning: (text) => this.page.notice(text),
        signal,
      });
      for (const listen of this.listeners) await listen(session);
      [this.opened, this.info.value, this.state.value] = [session, session.info, 'ready'];
      return session;
    } catch (error) {
      [this.state.value, this.opening] = ['none', undefined];
      throw error;
    } finally {
      this.progress.value = undefined;
    }
  }
}

async function sourceOf(choice: ModelChoice, picked: readonly File[], signal: AbortSignal): Promise<ModelSource> {
  switch (choice.kind) {
    case 'bundled':
      return bundledFiles(signal);
    case 'hub':
      return choice.id.trim();
    case 'url':
      return choice.url.trim();
    case 'files':
      if (picked.length === 0) throw new Error('Pick the model’s folder: a page may not read it again by itself.');
      return picked;
  }
}
