import type { LowrankError } from '@lowrank/errors';
import type { Port } from './port.js';
import type { Packed, Wire } from './wire.js';
import { notCarried, pack, unpack } from './wire.js';
import type { WiredError } from './wiredError.js';
import { errorOf, wiredError } from './wiredError.js';

type Message =
  /** The first: what the worker offers. */
  | { readonly type: 'offer'; readonly value: Wire }
  | { readonly type: 'call'; readonly id: number; readonly target: number; readonly args: Wire }
  | { readonly type: 'result'; readonly id: number; readonly value: Wire }
  | { readonly type: 'failure'; readonly id: number; readonly error: WiredError }
  | { readonly type: 'abort'; readonly id: number; readonly reason: WiredError }
  /** The other side has no use for this function any more. */
  | { readonly type: 'release'; readonly id: number };

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export interface ChannelHooks {
  /** Told when the first call begins to wait for its answer, and when the last has it. */
  readonly onBusy?: (busy: boolean) => void;
}

type Callable = (...args: unknown[]) => unknown;

/**
 * Calls in both directions over one port. A function in a value that goes over is called back from the other side, as
 * often as that likes, until it is collected there; so an object of functions is a remote object, and an option that is
 * a function needs no care. An answer comes for every call, or {@link close} rejects it.
 */
export class Channel {
  /** What the other side offers, with {@link offer}. */
  readonly offered: Promise<unknown>;
  private readonly functions = new Map<number, Callable>();
  private readonly pending = new Map<number, Pending>();
  private readonly controllers = new Map<number, AbortController>();
  private readonly released = new FinalizationRegistry<number>((id) => this.send({ type: 'release', id }));
  private lastId = 0;
  private closedBy: LowrankError | undefined;
  private resolveOffer: (value: unknown) => void = () => undefined;
  private rejectOffer: (error: unknown) => void = () => undefined;

  constructor(
    private readonly port: Port,
    private readonly hooks: ChannelHooks = {},
  ) {
    this.offered = new Promise((resolve, reject) => {
      this.resolveOffer = resolve;
      this.rejectOffer = reject;
    });
    this.offered.catch(() => undefined);
    port.listen((message) => this.receive(message as Message));
  }

  /** Hands the other side an object, whose functions it may call. */
  offer(value: unknown): void {
    const { wire, transfer } = this.pack(value, []);
    this.send({ type: 'offer', value: wire }, transfer);
  }

  /** Every call that waits, and every later one, is rejected with this. */
  close(error: LowrankError): void {
    if (this.closedBy !== undefined) return;
    this.closedBy = error;
    this.rejectOffer(error);
    const waiting = [...this.pending.values()];
    this.pending.clear();
    this.functions.clear();
    for (const { reject } of waiting) reject(error);
    if (waiting.length > 0) this.hooks.onBusy?.(false);
  }

  private receive(message: Message): void {
    switch (message.type) {
      case 'offer':
        return this.resolveOffer(this.unpack(message.value, []));
      case 'call':
        return void this.answer(message);
      case 'result':
        return this.settle(message.id, ({ resolve }) => resolve(this.unpack(message.value, [])));
      case 'failure':
        return this.settle(message.id, ({ reject }) => reject(errorOf(message.error)));
      case 'abort':
        return this.controllers.get(message.id)?.abort(errorOf(message.reason));
      case 'release':
        this.functions.delete(message.id);
    }
  }

  private async answer({ id, target, args }: Extract<Message, { type: 'call' }>): Promise<void> {
    const signals: number[] = [];
    try {
      const fn = this.functions.get(target);
      const given = this.unpack(args, signals) as unknown[];
      const { wire, transfer } = this.pack(await fn?.(...given), []);
      this.send({ type: 'result', id, value: wire }, transfer);
    } catch (error) {
      this.send({ type: 'failure', id, error: wiredError(error) });
    } finally {
      for (const signal of signals) this.controllers.delete(signal);
    }
  }

  private call(target: number, args: readonly unknown[]): Promise<unknown> {
    if (this.closedBy !== undefined) return Promise.reject(this.closedBy);
    const leave: (() => void)[] = [];
    const id = ++this.lastId;
    const result = new Promise((resolve, reject) => {
      const { wire, transfer } = this.pack(args, leave);
      this.post({ type: 'call', id, target, args: wire }, transfer);
      this.pending.set(id, { resolve, reject });
      if (this.pending.size === 1) this.hooks.onBusy?.(true);
    });
    return result.finally(() => {
      for (const stop of leave) stop();
    });
  }

  private settle(id: number, by: (pending: Pending) => void): void {
    const pending = this.pending.get(id);
    if (pending === undefined) return;
    this.pending.delete(id);
    by(pending);
    if (this.pending.size === 0) this.hooks.onBusy?.(false);
  }

  /** @param leave gets what ends the listening to signals, once their call has its answer */
  private pack(value: unknown, leave: (() => void)[]): Packed {
    return pack(value, {
      register: (fn) => {
        const id = ++this.lastId;
        this.functions.set(id, fn as Callable);
        return id;
      },
      listen: (signal) => {
        const id = ++this.lastId;
        const tell = (): void => this.send({ type: 'abort', id, reason: wiredError(signal.reason) });
        signal.addEventListener('abort', tell, { once: true });
        leave.push(() => signal.removeEventListener('abort', tell));
        return id;
      },
    });
  }

  /** @param signals gets the ids of the signals in it */
  private unpack(wire: Wire, signals: number[]): unknown {
    return unpack(wire, {
      proxy: (id) => {
        const proxy = (...args: unknown[]): Promise<unknown> => this.call(id, args);
        this.released.register(proxy, id);
        return proxy;
      },
      signal: (id) => {
        const controller = new AbortController();
        this.controllers.set(id, controller);
        signals.push(id);
        return controller;
      },
    });
  }

  /** @throws LowrankError `worker.value` where the message cannot be cloned */
  private post(message: Message, transfer: readonly Transferable[]): void {
    try {
      this.port.post(message, transfer);
    } catch (error) {
      throw notCarried(error instanceof Error ? error.message : String(error), error);
    }
  }

  private send(message: Message, transfer: readonly Transferable[] = []): void {
    if (this.closedBy === undefined) this.post(message, transfer);
  }
}
