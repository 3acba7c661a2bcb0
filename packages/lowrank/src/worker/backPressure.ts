/** Events that a reader may leave unanswered before who makes them waits. */
export const mostUnanswered = 16;

type Listener<Event> = (event: Event) => unknown;

/**
 * Events of one run on their way to a reader on another thread. None is lost and none is held back; but once
 * {@link mostUnanswered} have no answer, `send` waits, and the training with it: a page that is slow, or whose callback
 * returns a promise, is never more than that many events behind.
 */
export class EventCredit {
  private readonly unanswered = new Set<Promise<void>>();
  private failure: { readonly error: unknown } | undefined;

  /** @param wait awaits what it is given, and may do other work meanwhile */
  constructor(private readonly wait: (until: Promise<unknown>) => Promise<void>) {}

  /** @throws what the listener threw for an earlier event */
  async send<Event>(listener: Listener<Event>, event: Event): Promise<void> {
    this.check();
    const answered: Promise<void> = Promise.resolve(listener(event)).then(
      () => void this.unanswered.delete(answered),
      (error: unknown) => {
        this.unanswered.delete(answered);
        this.failure ??= { error };
      },
    );
    this.unanswered.add(answered);
    while (this.unanswered.size >= mostUnanswered) await this.wait(Promise.race(this.unanswered));
  }

  /** Waits until every event has its answer. @throws what a listener threw */
  async settle(): Promise<void> {
    await this.wait(Promise.all(this.unanswered));
    this.check();
  }

  private check(): void {
    if (this.failure !== undefined) throw this.failure.error;
  }
}

export interface Coalesced<Event> {
  readonly send: (event: Event) => void;
  /** Waits until the reader has the last one. @throws what it threw */
  readonly settle: () => Promise<void>;
}

/**
 * Events of which one is on its way at a time; those that come meanwhile are joined into one. Of progress the last is
 * enough, of a text all pieces as one.
 */
export function coalesced<Event>(
  listener: Listener<Event> | undefined,
  join: (earlier: Event, later: Event) => Event,
): Coalesced<Event> {
  let waiting: { readonly event: Event } | undefined;
  let sending: Promise<void> | undefined;
  let failure: { readonly error: unknown } | undefined;
  const sendAll = async (): Promise<void> => {
    while (waiting !== undefined && failure === undefined) {
      const { event } = waiting;
      waiting = undefined;
      await listener?.(event);
    }
  };
  const send = (event: Event): void => {
    waiting = { event: waiting === undefined ? event : join(waiting.event, event) };
    sending ??= sendAll()
      .catch((error: unknown) => void (failure ??= { error }))
      .finally(() => (sending = undefined));
  };
  const settle = async (): Promise<void> => {
    await sending;
    if (failure !== undefined) throw failure.error;
  };
  return { send, settle };
}
