import type { ChatMessage } from 'lowrank';
import { ref } from 'vue';
import type { AdapterShelf } from './adapterShelf';
import type { ModelDesk } from './modelDesk';
import type { Shared } from './shared';

/** A question with what both sides write to it. */
export interface Exchange {
  readonly asked: string;
  base: string;
  tuned: string;
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
  ) {}

  /** As a chat, in the model's template, with all that was said before; else as a text to be continued. */
  async ask(text: string, as: 'text' | 'chat'): Promise<void> {
    this.controller = new AbortController();
    if (as === 'text') this.exchanges.value = [];
    this.exchanges.value.push({ asked: text, base: '', tuned: '' });
    this.isBusy.value = true;
    await this.page.attempt('write', 'The model cannot write', async () => {
      for (const side of ['tuned', 'base'] as const) await this.answer(side, as === 'chat' ? this.chat(side) : text);
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
      onPiece: (piece) => (exchange[side] += piece),
    });
  }

  private chat(side: Side): ChatMessage[] {
    const last = this.exchanges.value.length - 1;
    return this.exchanges.value.flatMap((exchange, at): ChatMessage[] => {
      const asked = { role: 'user', content: exchange.asked };
      return at === last ? [asked] : [asked, { role: 'assistant', content: exchange[side] }];
    });
  }
}
