import { backoff, isBusy, Patience, retryAfter, waiting } from '@lowrank/safetensors';
import type { Pause } from '@lowrank/safetensors';
import type { TransferTiming } from './transferTiming.js';

/** Sends a request, with whatever credentials it needs; resolves whatever the status. */
export type Send = (url: string, init: RequestInit) => Promise<Response>;

export interface AskPolicy {
  readonly send: Send;
  readonly timing: TransferTiming;
  readonly signal?: AbortSignal | undefined;
  readonly pause?: Pause | undefined;
}

/** How often a server that is busy is asked again. */
const busyRetries = 3;

/**
 * A question with a short answer: gives up after `timing.answer` without one, and `timing.stall` without a further
 * byte; asks a busy server again, when it says or soon, a few times. What it answers last, busy or not, goes to `use`.
 */
export async function ask<Value>(
  url: string,
  init: RequestInit,
  { send, timing, signal, pause = waiting(signal) }: AskPolicy,
  use: (response: Response, patience: Patience) => Promise<Value>,
): Promise<Value> {
  for (let attempt = 1; ; attempt += 1) {
    const patience = new Patience({ signal, milliseconds: timing.answer, what: 'no answer' });
    let wait: number;
    try {
      const response = await patience.race(send(url, { ...init, signal: patience.signal }));
      wait = retryAfter(response) ?? backoff(attempt);
      if (!isBusy(response.status) || attempt > busyRetries || wait > timing.retryAfter) {
        patience.expect({ milliseconds: timing.stall, what: 'nothing more came' });
        return await use(response, patience);
      }
      void response.body?.cancel().catch(() => undefined);
    } finally {
      patience.end();
    }
    await pause(attempt, wait);
  }
}
