import { Attributes, Callable, isEqual, TemplateError, Undefined } from './values.js';
import type { CallArguments, JinjaValue } from './values.js';

export interface LoopState {
  readonly items: readonly JinjaValue[];
  at: number;
  readonly depth: number;
  changed: JinjaValue[] | undefined;
}

/** The body of a recursive loop, run over other items. */
export function loopCaller(run: (items: JinjaValue) => string): (args: CallArguments) => JinjaValue {
  return ({ positional }) => run(positional[0] ?? null);
}

/** `loop` within a loop. */
export function loopOf(state: LoopState, call: ((args: CallArguments) => JinjaValue) | undefined): Attributes {
  const unset = (name: string): JinjaValue => new Undefined(`there is no ${name}`);
  const attributes: Readonly<Record<string, () => JinjaValue>> = {
    index: () => state.at + 1,
    index0: () => state.at,
    revindex: () => state.items.length - state.at,
    revindex0: () => state.items.length - state.at - 1,
    first: () => state.at === 0,
    last: () => state.at === state.items.length - 1,
    length: () => state.items.length,
    depth: () => state.depth + 1,
    depth0: () => state.depth,
    previtem: () => (state.at === 0 ? unset('previous item') : (state.items[state.at - 1] ?? null)),
    nextitem: () => (state.at + 1 < state.items.length ? (state.items[state.at + 1] ?? null) : unset('next item')),
    cycle: () =>
      new Callable('cycle', ({ positional }) => {
        if (positional.length === 0) throw new TemplateError('no items for cycling given');
        return positional[state.at % positional.length] ?? null;
      }),
    changed: () =>
      new Callable('changed', ({ positional }) => {
        const same =
          state.changed?.length === positional.length &&
          positional.every((each, at) => isEqual(each, state.changed?.[at] ?? null));
        state.changed = [...positional];
        return !same;
      }),
  };
  const get = (name: string): JinjaValue | undefined =>
    Object.hasOwn(attributes, name) ? attributes[name]?.() : undefined;
  return call === undefined ? new Attributes('LoopContext', get) : new Attributes('LoopContext', get, call);
}
