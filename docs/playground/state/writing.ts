import type { ChatMessage } from 'lowrank';
import { ref } from 'vue';
import type { AdapterShelf } from './adapterShelf';
import type { ModelDesk } from './modelDesk';
import type { Shared } from './shared';

/** A question with what both sides write to it. */
export interface Exchange {
  readonly asked: string;
  /** Undefined where the base was not asked: in the middle of a training it is not there alone. */
  base: string | undefined;
  tuned: string;
  /** Which adapters wrote `tuned`. */
  readonly by: string;
}

type Side = 'base' | 'tuned';

/** What is asked of the model, and what it answers with its adapters and without. */
export class Writing {
  readonly exchanges = ref<Exchange[]>([]);
  readonly isBusy = ref(false);
  private controller = new AbortController();

  constructor(
    private readonly page: Shared,
    private readonly model: ModelDesk,
    private readonly adapters: AdapterShelf,
    /** What a training is at. */
    private readonly trained: () => string,
  ) {}

  /** As a chat, in the model's template, with all that was said before; else as a text to be continued. */
  async ask(text: string, as: 'text' | 'chat'): Promise<void> {
    this.controller = new AbortController();
    if (as === 'text') this.exchanges.value = [];
    const inTraining = this.model.current()?.isTraining === true;
    const by = inTraining ? this.trained() : this.adapters.activeText();
    this.exchanges.value.push({ asked: text, base: inTraining ? undefined : '', tuned: '', by });
    this.isBusy.value = true;
    await this.page.attempt('write', 'The model cannot write', async () => {
      const sides = inTraining ? (['tuned'] as const) : (['tuned', 'base'] as const);
      for (const side of sides) await this.answer(side, as === 'chat' ? this.chat(side) : text);
    });
    this.isBusy.value = false;
  }

  stop(): void {
    this.controller.abort();
  }

  clear(): void {
    this.exchanges.value = [];
  }

  private async answer(side: Side, prompt: string | readonly ChatMessage[]): Promise<void> {
    const exchange = this.exchanges.value.at(-1);
    if (exchange === undefined) return;
    const session = await this.model.session();
    await session.write({
      prompt,
      adapters: side === 'base' ? [] : this.adapters.active(),
      settings: this.page.settings,
      signal: this.controller.signal,
      onPiece: (piece) => (exchange[side] = `${exchange[side] ?? ''}${piece}`),
    });
  }

  private chat(side: Side): ChatMessage[] {
    const last = this.exchanges.value.length - 1;
    return this.exchanges.value.flatMap((exchange, at): ChatMessage[] => {
      const [asked, content] = [{ role: 'user', content: exchange.asked }, exchange[side]];
      if (at === last) return [asked];
      return content === undefined ? [] : [asked, { role: 'assistant', content }];
    });
  }
}
